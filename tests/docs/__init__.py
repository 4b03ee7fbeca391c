"""The documentation: what of it is made from the code, which of its examples are run, and how it reads.

- `pages`: the pages, their blocks of code, and the marks over these
- `generated`: the parts of pages between two marks that are made from the code
- `reference`: makes those parts, one module a topic
- `habits`: counts what the house asks of prose and commits
- `fields`: what the code says of the fields of records and the members of enums
- `site`: looks whether the built pages fetch something from elsewhere
- `screenshot`: the picture of the page in README.md
"""
