"""Tools for the documentation: they generate parts of it from the code, find its examples, and check its style.

- `pages`: reads the pages, their blocks of code, and the marks above the blocks
- `generated`: replaces the parts of pages between two marks by text made from the code
- `reference`: makes the text of those parts, one module for each topic
- `habits`: counts violations of the rules for prose, docstrings and commits
- `fields`: reads the comments of record fields and enum members, for the reference
- `site`: checks that the built pages fetch nothing from elsewhere
- `screenshot`: takes the picture of the page for README.md
"""
