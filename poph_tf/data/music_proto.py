"""The message NoteSequence without importing note_seq, which takes seconds."""

import importlib.util
import pathlib
import sys
from types import ModuleType

_NAME = "note_seq.protobuf.music_pb2"


def load() -> ModuleType:
    """The module `note_seq.protobuf.music_pb2`; note_seq itself then uses the same."""
    if _NAME not in sys.modules:
        package = importlib.util.find_spec("note_seq")
        if package is None or package.origin is None:
            raise ImportError("note_seq is not installed")
        path = pathlib.Path(package.origin).parent / "protobuf" / "music_pb2.py"
        spec = importlib.util.spec_from_file_location(_NAME, path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} is missing")
        module = importlib.util.module_from_spec(spec)
        sys.modules[_NAME] = module
        spec.loader.exec_module(module)
    return sys.modules[_NAME]
