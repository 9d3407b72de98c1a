"""What the GPU check reports, by hand; the checks themselves run on a GPU machine."""

import importlib
import sys
from types import SimpleNamespace

import pytest
from test_manual import ROOT


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    yield importlib.import_module("benchmarks.gpu")
    for name in [name for name in sys.modules if name.startswith("benchmarks")]:
        del sys.modules[name]


def test_the_report_has_each_verdict_and_its_figures(gpu):
    found = {
        "memory": gpu.Finding(gpu.PASSED, "The peak.", {"GPU 0, MiB": 1234.5678}),
        "one device and all": gpu.Finding(gpu.UNCHECKED, "There is only one GPU."),
    }
    text = gpu.report(found, gpu.Options(preset="deepj"), {"GPUs": ["A100", "A100"]})
    for line in (
        "| GPUs | A100, A100 |",
        "| preset | deepj |",
        "| memory | **passed** | The peak. |",
        "| one device and all | **not checked** | There is only one GPU. |",
        "| GPU 0, MiB | 1235 |",
    ):
        assert line in text.splitlines()
    assert text.count("\n## ") == 1


def test_a_check_that_breaks_has_failed_and_says_how(gpu):
    def breaks(_):
        raise RuntimeError("No kernel | for sm_999\nmore")

    finding = gpu.checked(breaks, gpu.Options())
    assert finding.verdict == gpu.FAILED
    assert finding.said == "RuntimeError: No kernel \\| for sm_999"


LSTM = "void cudnn::rnn::LSTM_elementWise_fp<float>(int)"
OTHER = ["ampere_sgemm_128x64_nn", "RNNgate", "cudnn::ops::nchwToNhwcKernel"]


@pytest.mark.parametrize(
    ("plane", "kernels", "verdict"),
    [
        ("/device:GPU:0", [LSTM, *OTHER], "PASSED"),
        ("/device:GPU:0", OTHER, "FAILED"),
        # Calls on the host do not show which kernels run.
        ("/host:CPU", [LSTM, "CudnnRNNV3"], "FAILED"),
    ],
)
def test_cudnn_is_known_by_its_kernels_on_the_gpu(
    gpu, monkeypatch, plane, kernels, verdict
):
    step = SimpleNamespace(run=lambda batch: batch)
    monkeypatch.setattr(gpu, "_step", lambda options: (step, {}))
    monkeypatch.setattr(gpu, "profiled", lambda work: {plane: set(kernels)})
    monkeypatch.setattr(gpu, "has_gpu", lambda: True)
    assert gpu.lstms_on_cudnn(gpu.Options()).verdict == getattr(gpu, verdict)
    monkeypatch.setattr(gpu, "has_gpu", lambda: False)
    assert gpu.lstms_on_cudnn(gpu.Options()).verdict == gpu.UNCHECKED
