"""Workers that are actors of Ray, on this machine or on others."""
