"""``report.html``: one training in one page that needs no other file and no network."""
