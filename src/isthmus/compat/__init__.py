"""Other targets' files, protocols and commands, on the model and the use cases that every face has."""
