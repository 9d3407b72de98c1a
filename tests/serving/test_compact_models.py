"""What is dropped from a converted model, and what stays."""

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from poph_tf.serving import litert

X = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    @tf.function(input_signature=[tf.TensorSpec((3, 4))])
    def graph(x):
        column = x[:, None]  # Converted to a reshape and a slice of all of it.
        return {
            "sum": tf.reduce_sum(column * column, axis=1),
            "turned": x[::-1],
            "part": x[1:],
            "whole": tf.strided_slice(x, [0, 0], [3, 4]),
        }

    folder = str(tmp_path_factory.mktemp("saved"))
    tf.saved_model.save(tf.Module(), folder, signatures=graph)
    return tf.lite.TFLiteConverter.from_saved_model(folder).convert()


def slices(content):
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    codes = [code.builtinCode for code in model.operatorCodes]
    (graph,) = model.subgraphs
    kind = schema.BuiltinOperator.STRIDED_SLICE
    return sum(codes[operator.opcodeIndex] == kind for operator in graph.operators)


def outputs(content):
    run = Interpreter(model_content=content).get_signature_runner()
    return run(x=X)


def test_slices_of_whole_tensors_are_dropped_and_no_others(content):
    smaller = litert.compact(content)
    found = outputs(smaller)
    np.testing.assert_array_equal(found["sum"], X * X)
    np.testing.assert_array_equal(found["part"], X[1:])
    np.testing.assert_array_equal(found["turned"], X[::-1])
    np.testing.assert_array_equal(found["whole"], X)
    assert slices(smaller) == slices(content) - 1
    assert len(smaller) < len(content)
