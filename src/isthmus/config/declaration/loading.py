"""From the text of a document to the configuration that it asks for, with every error at its place in the file."""

from isthmus.config.declaration.configure import Surroundings, configure
from isthmus.config.declaration.errors import DocumentError
from isthmus.config.declaration.models import Declaration
from isthmus.config.declaration.notation import Notation, locate, parse
from isthmus.config.model import Configuration
from isthmus.errors import ConfigurationError

__all__ = ["load_document"]


def load_document(text: str, notation: Notation, *, name: str, surroundings: Surroundings) -> Configuration:
    """The configuration that `text`, the content of the file `name`, asks for.

    Raises `ConfigurationError` with the file, the line where it is known, and the path in the document.
    """
    try:
        return configure(Declaration.read(parse(text, notation)), surroundings)
    except DocumentError as error:
        position = error.position or (locate(text, notation, error.path) if error.path else None)
        place = f"{name}:{position}" if position else name
        raise ConfigurationError(f"{place}: {error.problem}", error.remedy) from error
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error.problem}", error.remedy) from error
