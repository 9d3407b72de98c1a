"""The protocol buffer message tf.train.Example, without importing TensorFlow.

This keeps the processes that prepare data small and quick to start. The messages have
their own pool, so that they do not clash with TensorFlow's.

Source: tensorflow/core/example/feature.proto and example.proto.
"""

from typing import Any

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
)

_SCHEMA = """
name: "poph_tf/example.proto" syntax: "proto3"
message_type { name: "BytesList"
  field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_BYTES } }
message_type { name: "FloatList"
  field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_FLOAT } }
message_type { name: "Int64List"
  field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_INT64 } }
message_type { name: "Feature" oneof_decl { name: "kind" }
  field { name: "bytes_list" number: 1 type_name: ".BytesList" oneof_index: 0 }
  field { name: "float_list" number: 2 type_name: ".FloatList" oneof_index: 0 }
  field { name: "int64_list" number: 3 type_name: ".Int64List" oneof_index: 0 } }
message_type { name: "Features"
  field { name: "feature" number: 1 label: LABEL_REPEATED
    type_name: ".Features.FeatureEntry" }
  nested_type { name: "FeatureEntry" options { map_entry: true }
    field { name: "key" number: 1 type: TYPE_STRING }
    field { name: "value" number: 2 type_name: ".Feature" } } }
message_type { name: "Example"
  field { name: "features" number: 1 type_name: ".Features" } }
"""


def _message_class() -> Any:
    pool = descriptor_pool.DescriptorPool()
    pool.Add(text_format.Parse(_SCHEMA, descriptor_pb2.FileDescriptorProto()))
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("Example"))


Example = _message_class()
