"""Composes through TensorFlow's C API, without `import tensorflow` or poph_tf.

  python c_api_compose.py TENSORFLOW_DIR SAVED_MODEL NAMES_JSON INPUTS_NPZ OUTPUTS_NPZ

NAMES_JSON maps the inputs and outputs of a signature to their tensors in the graph.
"""

import ctypes
import json
import pathlib
import sys

import numpy as np

POINTER = ctypes.c_void_p
# The TF_DataType codes of the numpy types used.
CODES = {"float32": 1, "int32": 3, "uint8": 4}


class Output(ctypes.Structure):
    _fields_ = [("operation", POINTER), ("index", ctypes.c_int)]


class Library:
    """The few functions of the C API that are needed, with their types."""

    def __init__(self, folder):
        framework = folder / "libtensorflow_framework.so.2"
        ctypes.CDLL(str(framework), mode=ctypes.RTLD_GLOBAL)
        library = ctypes.CDLL(str(folder / "libtensorflow_cc.so.2"))
        number, text, size = ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t
        many = ctypes.POINTER
        self.types = {
            "NewStatus": (POINTER,),
            "GetCode": (number, POINTER),
            "Message": (text, POINTER),
            "NewGraph": (POINTER,),
            "NewSessionOptions": (POINTER,),
            "LoadSessionFromSavedModel": (
                POINTER, POINTER, POINTER, text, many(text), number, POINTER, POINTER,
                POINTER,
            ),
            "GraphOperationByName": (POINTER, POINTER, text),
            "AllocateTensor": (POINTER, number, many(ctypes.c_int64), number, size),
            "TensorData": (POINTER, POINTER),
            "NumDims": (number, POINTER),
            "Dim": (ctypes.c_int64, POINTER, number),
            "TensorType": (number, POINTER),
            "SessionRun": (
                None, POINTER, POINTER, many(Output), many(POINTER), number,
                many(Output), many(POINTER), number, POINTER, number, POINTER, POINTER,
            ),
        }  # fmt: skip
        for name, (result, *arguments) in self.types.items():
            function = getattr(library, f"TF_{name}")
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)
        self.status = self.NewStatus()

    def check(self):
        if self.GetCode(self.status):
            raise RuntimeError(self.Message(self.status).decode())

    def tensor(self, array):
        array = np.ascontiguousarray(array)
        shape = (ctypes.c_int64 * array.ndim)(*array.shape)
        code = CODES[array.dtype.name]
        tensor = self.AllocateTensor(code, shape, array.ndim, array.nbytes)
        ctypes.memmove(self.TensorData(tensor), array.ctypes.data, array.nbytes)
        return tensor

    def array(self, tensor):
        shape = [self.Dim(tensor, axis) for axis in range(self.NumDims(tensor))]
        code = self.TensorType(tensor)
        dtype = np.dtype({code: name for name, code in CODES.items()}[code])
        size = int(np.prod(shape)) * dtype.itemsize
        content = ctypes.string_at(self.TensorData(tensor), size)
        return np.frombuffer(content, dtype).reshape(shape)


class Session:
    """A SavedModel loaded with the serving tag."""

    def __init__(self, library, directory):
        self.library, self.graph = library, library.NewGraph()
        tags = (ctypes.c_char_p * 1)(b"serve")
        self.session = library.LoadSessionFromSavedModel(
            library.NewSessionOptions(), None, directory.encode(), tags, 1, self.graph,
            None, library.status,
        )  # fmt: skip
        library.check()

    def _places(self, names):
        places = []
        for name in names:
            operation, _, index = name.partition(":")
            found = self.library.GraphOperationByName(self.graph, operation.encode())
            assert found, f"The graph has no {operation}."
            places.append(Output(found, int(index or 0)))
        return (Output * len(places))(*places)

    def run(self, names, inputs):
        library = self.library
        given = [library.tensor(inputs[name]) for name in names["inputs"]]
        wanted = (POINTER * len(names["outputs"]))()
        library.SessionRun(
            self.session, None,
            self._places(names["inputs"].values()), (POINTER * len(given))(*given),
            len(given),
            self._places(names["outputs"].values()), wanted, len(wanted),
            None, 0, None, library.status,
        )  # fmt: skip
        library.check()
        return {
            name: library.array(tensor)
            for name, tensor in zip(names["outputs"], wanted, strict=True)
        }


def main(folder, directory, names, inputs, outputs):
    session = Session(Library(pathlib.Path(folder)), directory)
    found = session.run(json.loads(pathlib.Path(names).read_text()), np.load(inputs))
    assert not {"tensorflow", "keras", "poph_tf"} & set(sys.modules)
    np.savez(outputs, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
