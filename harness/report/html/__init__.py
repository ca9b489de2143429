"""report.html: timeline + record -> one self-contained page. Pure: no clock, no network, no file but its own style."""
