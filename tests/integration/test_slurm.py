"""scripts/train.sbatch on a cluster of two nodes, both this machine, that the tests start."""

import math
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from killing import differences, end, finish, start, wait_for_updates
from support import REPOSITORY, tones_overrides

pytestmark = pytest.mark.slow

CONFIGURATION = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdParameters=config_overrides
ReturnToService=2
SchedulerParameters=sched_interval=5
NodeName={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 State=UNKNOWN
NodeName=localhost NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 State=UNKNOWN
PartitionName=all Nodes={host},localhost Default=YES MaxTime=INFINITE State=UP
"""  # cred_expire is also how many seconds a job waits that is queued again; 120 by default
DAEMONS = ("munged", "slurmctld", "slurmd")


class Cluster:
    """Slurm's own daemons on ports, sockets and in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PYTHON": sys.executable,
            "PATH": f"{os.environ['PATH']}:/usr/sbin:/usr/bin",
        }
        self._daemons: list[subprocess.Popen[bytes]] = []
        (folder / "state").mkdir()
        (folder / "munge.key").write_bytes(os.urandom(128))
        (folder / "munge.key").chmod(0o600)
        self.nodes = (socket.gethostname().split(".")[0], "localhost")
        text = CONFIGURATION.format(host=self.nodes[0], folder=folder, ports=_free_ports(3))
        (folder / "slurm.conf").write_text(text)

    def open(self) -> None:
        """Start the daemons; a job can be handed in when it returns."""
        parts = {"socket": "socket", "key-file": "key", "pid-file": "pid", "log-file": "log"}
        files = [
            f"--{o}={self.folder}/munge.{e}" for o, e in (parts | {"seed-file": "seed"}).items()
        ]
        self._start("munged", "--foreground", "--force", *files)
        self._until(lambda: (self.folder / "munge.socket").exists(), "munged answers")
        self._start("slurmctld", "-D")
        for node in self.nodes:
            self._start("slurmd", "-D", "-N", node)
        self._until(
            lambda: (
                self.ask("sinfo", "--noheader", "--Node", "--format=%T").split() == ["idle"] * 2
            ),
            "both nodes are idle",
        )

    def _start(self, *command: str) -> None:
        log = self.folder / f"{command[0]}-{len(self._daemons)}.out"
        with log.open("wb") as out:
            self._daemons.append(
                subprocess.Popen(
                    command, env=self.environment, stdout=out, stderr=out, start_new_session=True
                )
            )

    def close(self) -> None:
        """End all jobs, and then all daemons."""
        for how in ([], ["--signal=KILL", "--full"]):
            jobs = self.ask("squeue", "--noheader", "--format=%i").split()
            if jobs:
                self.ask("scancel", *how, *jobs)
                self._until(lambda: not self.ask("squeue", "--noheader"), None)
        for daemon in reversed(self._daemons):
            daemon.terminate()
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def _until(self, done: Callable[[], bool], what: str | None, seconds: float = 40) -> None:
        until = time.monotonic() + seconds
        while not done():
            if time.monotonic() > until:
                if what is not None:
                    logs = [path.read_text()[-1500:] for path in self.folder.glob("*.out")]
                    raise TimeoutError(f"not after {seconds:.0f} s: {what}\n" + "\n".join(logs))
                return
            time.sleep(0.2)

    def ask(self, *command: str) -> str:
        """What a command of Slurm prints."""
        done = subprocess.run(
            command, env=self.environment, cwd=REPOSITORY, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
        )  # fmt: skip
        return done.stdout

    def submit(self, *arguments: str) -> str:
        """Hand in the script that is shipped; the number of the job."""
        output = f"--output={self.folder}/%j.log"
        said = self.ask("sbatch", "--parsable", "--cpus-per-task=1", output, *arguments)
        assert said.strip().isdigit(), said
        return said.strip()

    def log(self, job: str) -> str:
        """What a job has printed."""
        path = self.folder / f"{job}.log"
        return path.read_text() if path.exists() else ""

    def wait(self, job: str, done: Callable[[dict[str, str]], bool], seconds: float = 600) -> None:
        """Until something holds of a job: JobState, Restarts, ..."""
        self._until(lambda: done(self.job(job)), f"{self.job(job)}\n{self.log(job)}", seconds)

    def job(self, job: str) -> dict[str, str]:
        """What Slurm knows of a job."""
        words = self.ask("scontrol", "--oneliner", "show", "job", job).split()
        return dict(word.split("=", 1) for word in words if "=" in word)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that runs, or a skip."""
    path = f"{os.environ['PATH']}:/usr/sbin:/usr/bin"
    absent = [name for name in (*DAEMONS, "sbatch") if shutil.which(name, path=path) is None]
    if absent:
        pytest.skip(f"Slurm is not here ({', '.join(absent)}); apt-get install slurm-wlm")
    if os.geteuid() != 0:
        pytest.skip("Slurm's daemons start jobs for any user: this needs root")
    started = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        started.open()
        yield started
    finally:
        started.close()


def over(job: dict[str, str]) -> bool:
    return job["JobState"] in ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")


def test_a_job_whose_time_is_up_goes_on_in_its_next(
    cluster: Cluster, tones: Path, tmp_path: Path
) -> None:
    options = [*tones_overrides(tones, tmp_path), "experiment=tones"]
    options += [f"trainer.epochs={_epochs_of_a_minute(options, tmp_path)}"]
    # One minute is Slurm's shortest time. It looks twice a minute, and says it early rather than
    # late: here 10 to 40 seconds after the start, which on a busy machine may be too early.
    limits = ["--nodes=2", "--time=1", "--signal=B:TERM@20"]
    job = cluster.submit(*limits, "scripts/train.sbatch", *options, "run=stopped")
    log = tmp_path / "whole.log"
    whole = start(*options, "run=whole", log=log, processes=2)
    try:
        cluster.wait(job, lambda known: "nothing lost" in cluster.log(job) or over(known))
        cluster.ask("scontrol", "update", f"JobId={job}", "TimeLimit=30")
        finish(whole, log)
    finally:
        end(whole)
    cluster.wait(job, over)
    known, said = cluster.job(job), cluster.log(job)
    assert known["JobState"] == "COMPLETED" and int(known["Restarts"]) >= 1, said
    stopped, went_on = said.split(f"start {int(known['Restarts']) + 1},")
    assert stopped.rindex("time is almost up") < stopped.rindex("nothing lost"), said
    assert "resuming" in went_on and "time is almost up" not in went_on, said
    assert differences(tmp_path / "whole", tmp_path / "stopped") == []


def _epochs_of_a_minute(options: list[str], folder: Path) -> int:
    """By how fast this machine is now: a job of a minute must not end by itself."""
    more = [*options, "trainer.epochs=500", "run=pace"]
    run = start(*more, log=folder / "pace.log", processes=2)
    try:
        wait_for_updates(run, folder / "pace", 20)
        began = time.monotonic()
        wait_for_updates(run, folder / "pace", 120)
        seconds = time.monotonic() - began
    finally:
        end(run)
    return math.ceil(50 / seconds * 100 / 20)


def test_an_error_and_a_cancelled_job_stay_as_they_are(
    cluster: Cluster, tones: Path, tmp_path: Path
) -> None:
    options = [*tones_overrides(tones, tmp_path), "experiment=tones", "trainer.epochs=500"]
    wrong = cluster.submit(
        "--cpus-per-task=1", "scripts/train.sbatch", *options, "run=wrong", "optimizer.lx=1"
    )
    ended = cluster.submit("scripts/train.sbatch", *options, "run=ended")
    cluster.wait(wrong, over)
    assert "optimizer.lx" in cluster.log(wrong)
    cluster.wait(ended, lambda _: (tmp_path / "ended" / "metrics.jsonl").exists())
    cluster.ask("scancel", ended)
    cluster.wait(ended, over)
    time.sleep(5)  # a job that is queued again would stand there by now
    states = [cluster.job(job) for job in (wrong, ended)]
    assert [state["JobState"] for state in states] == ["FAILED", "CANCELLED"]
    assert [state["Restarts"] for state in states] == ["0", "0"]
