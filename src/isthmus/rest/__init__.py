"""The use cases over HTTP. Routes take a request apart, call one use case and map its error; no rule lives here."""
