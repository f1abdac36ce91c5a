"""Sluice, its peers and the plain-C ceilings, side by side on the same servers in one run."""
