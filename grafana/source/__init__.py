"""What the dashboards and alert rules are made of; generate.py writes them."""
