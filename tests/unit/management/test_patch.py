import json

import pytest
from hypothesis import given

from isthmus.config.model import Configuration
from isthmus.errors import ConfigurationError
from isthmus.management.patch import apply_patch, difference, dump_patch, read_patch
from tests.support.configurations import configurations


@given(configurations(), configurations())
def test_a_patch_leads_from_one_to_the_other(old: Configuration, new: Configuration) -> None:
    """Also after it has crossed the socket."""
    patch = difference(old, new)
    assert apply_patch(old, patch) == new
    assert apply_patch(old, read_patch(json.loads(json.dumps(dump_patch(patch))))) == new


@given(configurations())
def test_what_stays_is_not_sent(configuration: Configuration) -> None:
    """And stays the very same object."""
    patch = difference(configuration, configuration)
    assert dump_patch(patch) == {
        "storage_objects": [],
        "targets": [],
        "removed": {"storage_objects": [], "targets": []},
    }
    assert apply_patch(configuration, patch).targets is configuration.targets


@pytest.mark.parametrize("document", [{"removed": []}, {"removed": {"targets": "all"}}, {"removed": {"targets": [1]}}])
def test_what_is_no_patch_is_refused(document: dict[str, object]) -> None:
    """With what is wrong."""
    with pytest.raises(ConfigurationError, match="'removed'"):
        read_patch(document)
