"""How does the whole system run on one machine, with nothing installed but Python packages?"""
