"""The manual's recipes for clusters start workers that find each other."""

import os
import re
import subprocess

import pytest
import yaml
from systems import needs_posix
from test_manual import ROOT, flags_of

RECIPES = ROOT / "docs" / "how-to" / "distribute"


def flags(command):
    return dict(re.findall(r"--([a-z_]+)=(\S+)", command))


def test_the_jobset_names_each_of_its_pods_as_a_worker():
    jobset = yaml.safe_load((RECIPES / "jobset.yaml").read_text("utf-8"))
    spec = jobset["spec"]
    (replicated,) = spec["replicatedJobs"]
    job = replicated["template"]["spec"]
    pod = job["template"]["spec"]
    given = flags(pod["containers"][0]["args"][0])
    assert set(given) <= flags_of("poph_tf/train.py")
    name = f"{jobset['metadata']['name']}-{replicated['name']}-0"
    hosts = [
        f"{name}-{k}.{spec['network']['subdomain']}:2222"
        for k in range(job["completions"])
    ]
    assert given["worker_hosts"].split(",") == hosts
    assert job["parallelism"] == job["completions"]
    assert given["worker_index"] == '"$JOB_COMPLETION_INDEX"'
    # A pod that ended never restarts alone: its job fails and the whole set restarts.
    assert pod["restartPolicy"] == "Never" and job["backoffLimit"] == 0
    mounted = {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}


@needs_posix
@pytest.mark.parametrize(
    ("codes", "again"), [((0, 0), False), ((75, 75), True), ((2, 75), True),
                         ((137, 75), True), ((2, 2), False)]
)  # fmt: skip
def test_slurm_starts_a_worker_for_each_host_and_again_after_75(tmp_path, codes, again):
    stubs = {
        "scontrol": '[ "$1" = show ] && printf "a\\nb\\n" || echo "$@" >>"$LOG"',
        # Like srun, but one task at a time; exits with the highest code.
        "srun": "shift; code=0; for SLURM_PROCID in 0 1; do export SLURM_PROCID;"
        ' "$@"; now=$?; [ $now -gt $code ] && code=$now; done; exit $code',
        "python": f'echo "$@" >>"$LOG"; codes=({" ".join(map(str, codes))});'
        " exit ${codes[$SLURM_PROCID]}",
    }
    for name, script in stubs.items():
        (tmp_path / name).write_text(f"#!/usr/bin/env bash\n{script}\n")
        (tmp_path / name).chmod(0o755)
    log = tmp_path / "log"
    around = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LOG": str(log)}
    around |= {"SLURM_JOB_NODELIST": "[a-b]", "SLURM_JOB_ID": "7", "DATA_DIR": "d e"}
    run = subprocess.run(
        ["bash", RECIPES / "slurm.sh"], env=os.environ | around, capture_output=True
    )
    lines = log.read_text().splitlines()
    assert run.returncode == max(codes)
    for k, line in enumerate(lines[:2]):
        given = flags(line.replace("d e", "d_e"))
        assert set(given) <= flags_of("poph_tf/train.py")
        assert given["worker_hosts"] == "a:2222,b:2222"
        assert (given["worker_index"], given["data_dir"]) == (str(k), "d_e")
    assert lines[2:] == ["requeue 7"] * again
