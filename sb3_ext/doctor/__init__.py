"""Check an installation and a machine: look at what is there (inspections), and train on small tasks (exercises)."""
