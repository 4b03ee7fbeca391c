"""Plots of the last day or month, as SVG made on the server. Each has a table for people who cannot see the plot.

All functions are pure: they take a series and return text. The SVG contains no colours and no font sizes. `plots.css`
sets both by class, for light and dark, so the Content-Security-Policy needs no exception for inline styles.

- `history`: makes the plots of a board from its series
- `figure`: a plot with its title, its summary in words and its table
- `frame`: the coordinates of a plot, with its grid and labels
- `marks`: draws lines, areas, bars and blocks in a frame
- `svg`: writes SVG elements as text, and escapes their content
- `words`: writes numbers and times for people
"""
