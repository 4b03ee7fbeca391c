"""Plots of the last day or month, as SVG made on the server, each with a table for who cannot see it.

Pure functions: a series in, text out. No colour and no size of a letter stands in the SVG; `plots.css` gives both by
class, for light and dark, so nothing inline is needed.

- `history`: the plots of a board, from its series
- `figure`: a plot, its words and its table
- `frame`: the space of a plot: steps to the right, values upward, grid and labels
- `marks`: lines, bars, steps and ribbons as SVG
- `svg`: elements as text, escaped
- `words`: numbers and times as people read them
"""
