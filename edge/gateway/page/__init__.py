"""The page at `/`: the board for a person with a browser, made on the server.

- `plots`: the last day or month as SVG, with tables
"""
