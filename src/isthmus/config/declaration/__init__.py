"""The configuration as people write it: a TOML, YAML or JSON document that says what shall be, and nothing else.

`notation` reads and writes text, `models` says what a document may hold, `configure` makes a `Configuration` of it,
`declare` makes a document of a `Configuration`. What a document leaves open (serial numbers, secrets) is given by the
place where it is applied.
"""
