"""Hooks of the process that reports: progress while it trains, then the verdicts and the report."""

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bthcheck.choices import available_threads
from bthcheck.files import sweep
from bthcheck.harness import cluster, falsify, paper
from bthcheck.harness.coverage import asked_for, covers
from bthcheck.harness.monitor import ProgressMonitor
from bthcheck.harness.options import option
from bthcheck.harness.postponed import postponed
from bthcheck.harness.results import Results
from bthcheck.harness.screen import Screen, screen_of
from bthcheck.harness.session import usage
from bthcheck.harness.settings import Settings
from bthcheck.harness.stash import CLUSTER
from bthcheck.harness.worker import Worker
from bthcheck.report.baseline import Update, write_baseline
from bthcheck.report.ending import FINISHED, RUNNING, state_of
from bthcheck.report.experiments import distinct
from bthcheck.report.snapshot import OF_PAPER, snapshot

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Environment variables by which libraries learn how many threads they may start."""
MEANWHILE_SECONDS, MEANWHILE_SHARE = 10.0, 0.02
"""A report is written while the session runs at most so often, and in at most this share of the time."""
UNREPORTED = pytest.ExitCode.INTERNAL_ERROR
"""How a session ends whose tests all passed, but of which something could not be written."""


class Controller(Worker):
    """Hooks of the process that reports. Without xdist it also runs the tests."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        super().__init__(config, settings)
        self.results = Results()
        self.started = time.time()
        self.report: Path | None = None
        self.unwritten: list[str] = []
        self.missing: list[str] = []
        self.updated: Update | None = None
        self.monitor = ProgressMonitor(settings.channel)
        self.screen: Screen | None = None
        self._prepared = False
        self._weights: dict[str, int] = {}
        self.state = RUNNING
        self._quiet_until = 0.0
        self._made: list[Path] = []

    def prepare(self) -> None:
        if not self._prepared:
            self._hear_of_claims()
            super().prepare()
            self._made = [path for path in (self.settings.results, self.settings.cache) if not path.exists()]
            self.settings.check_folders()
            for folder in (self.settings.results, self.settings.results / "figures", self.settings.baseline.parent):
                sweep(folder)
            self._prepared = True

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self, specs: list[Any]) -> None:
        """Give every worker its share of the cores before it starts: libraries read it once, when they are imported.

        In a worker this would be too late where another plugin, such as pytest-randomly, has imported NumPy before.
        """
        environment = pytest.MonkeyPatch()
        for name in THREADS:
            if name not in os.environ:
                environment.setenv(name, str(max(1, available_threads() // len(specs))))
        self.config.add_cleanup(environment.undo)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        settings = self.settings
        shared = {name: getattr(settings, name) for name in ("results", "cache", "baseline", "record")}
        shared["channel"] = settings.channel.folder
        if settings.data is not None:
            shared["data"] = settings.data
        if CLUSTER in self.config.stash:
            shared["dask"] = self.config.stash[CLUSTER].address
        node.workerinput["bthcheck"] = {name: str(path) for name, path in shared.items()}

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        """Hand out claims as `bthcheck.harness.schedule` says, unless another way was asked for."""
        if config.getvalue("dist") != "load":
            return None
        from bthcheck.harness.schedule import LongestFirst

        elsewhere = option(config, "device").startswith("cuda") or option(config, "dask") is not None
        return LongestFirst(config, log, lambda: self._weights, sys.maxsize if elsewhere else available_threads())

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self) -> None:
        """Learn of the claims before a worker runs the first of them, and check what they need."""
        self._hear_of_claims()
        if self.results.claims:
            try:
                self.prepare()
            except ValueError as error:
                self._refuse(str(error))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        heard = getattr(node, "workeroutput", {}).get("bthcheck")  # a worker that crashed hands over nothing
        if heard:
            self.settings.channel.hear(heard["process"], heard["lines"])

    def pytest_sessionstart(self) -> None:
        if self.settings.dask is not None and cluster.trains(self.config):
            try:
                found = cluster.start(self.config, self.settings.dask)
                found.check_device("--device", option(self.config, "device"))
            except ValueError as error:
                raise pytest.UsageError(str(error)) from error
        self.screen = screen_of(self.config)
        self.monitor.start(self.screen)

    def pytest_enter_pdb(self) -> None:
        self._pause(True)

    def pytest_leave_pdb(self) -> None:
        self._pause(False)

    def _pause(self, paused: bool) -> None:
        if self.screen is not None:
            self.screen.pause(paused)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.results.add(report)
        if report.when == "teardown" and report.nodeid in self.results.claims:
            self._report_meanwhile()

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        try:
            return (yield)
        finally:  # also if someone is too impatient to let xdist end its workers
            self._finish_whatever(session)

    def _finish_whatever(self, session: pytest.Session) -> None:
        """Finish, and let Ctrl-C wait for it; who asks twice gets no report, and a sentence."""
        try:
            with postponed() as asked:
                self._finish(session)
        except KeyboardInterrupt:
            self.unwritten.append("interrupted while the report was being written: there is no new one")
        if asked:
            session.exitstatus = pytest.ExitCode.INTERRUPTED

    def _finish(self, session: pytest.Session) -> None:
        self.monitor.stop()
        if self.screen is not None:
            self.screen.close()
        self._hear_of_claims()
        if not self.reports:
            return
        self.missing = self._missing(session)
        if self.settings.update and self.settings.falsify is None:
            with self._or_say("what was found is not on record"):
                self.updated = write_baseline(
                    self.settings.baseline,
                    self.settings.profile,
                    snapshot(self._records()),
                    start=self.settings.record,
                    gone=self._gone(),
                )
        for event in self.settings.channel.events():
            self.unwritten += event.get("unwritten", [])
        ended = session.exitstatus in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR)
        self.state = state_of(self.results.rows(), ended)
        with self._or_say("there is no new report"):
            self.report = self._write_report(self.state, self._differences())
        if self.missing and not self.settings.update and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if self.settings.markdown is not None:
            with self._or_say("there are no verdicts in Markdown"):
                self._write_markdown(self.settings.markdown)
        if self.unwritten and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = UNREPORTED

    @property
    def reports(self) -> bool:
        """Whether there is something to report of this session."""
        return self.runs and bool(self.results.claims or self.settings.channel.events("explored")) and not self.refusal

    def _records(self) -> dict[str, Any]:
        """Return the claims with what they are about, as far as it is known without the report."""
        environments = [event["facts"] for event in self.settings.channel.events("environment")]
        return {
            "claims": self._rows(),
            "experiments": distinct(self.settings.channel.events("experiment")),
            "environments": {facts["digest"]: facts for facts in environments},
        }

    def _missing(self, session: pytest.Session) -> list[str]:
        """Return the ids of claims on record that a session as it was asked for has, and that did not run in this one.

        Where tests were left out, by name, by an option or by an interruption, nothing is missing.
        """
        whole = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        if not whole or session.shouldstop or session.shouldfail:
            return []
        if self.settings.placebo or self.settings.falsify is not None or self.settings.channel.events("deselected"):
            return []
        asked = asked_for(self.config)
        ran = {row["claim"]["id"] for row in self.results.rows() if row["status"] != "skipped"}
        claims = self.baseline["claims"]
        ours = {id: claim for id, claim in claims.items() if self.settings.family in (None, claim.get("family", OF_PAPER))}
        return sorted(id for id, claim in ours.items() if id not in ran and covers(asked, self._place(claim.get("file"))))

    def _gone(self) -> list[str]:
        """Return the ids of claims on record that are no more: one that was only skipped still is."""
        return sorted(set(self.missing) - {claim["id"] for claim in self.results.claims.values()})

    def _place(self, file: str | None) -> Path | None:
        """Return where the file of a claim's test is, or was, that the record names."""
        if file is None:
            return None
        if self.config.pluginmanager.hasplugin(paper.PLUGIN):
            return paper.place_of(file)
        return self.config.rootpath / file

    def _differences(self) -> Any:
        """Return what differs from the record, for the report; None where nothing is compared."""
        if self.settings.placebo or self.settings.falsify is not None:
            return None
        from bthcheck.harness.against import against_record

        with self._or_say("the report says nothing of the record"):
            return against_record(self._records(), self.baseline, self.settings.check, self.missing)

    def _report_meanwhile(self) -> None:
        """Write what is known so far, so that something is left of a session that is killed; errors are said in the end."""
        rows = self.results.rows()
        if time.monotonic() >= self._quiet_until and self.reports and state_of(rows, False) != FINISHED:
            started = time.monotonic()
            with contextlib.suppress(Exception):
                self._write_report(RUNNING)
            took = time.monotonic() - started
            self._quiet_until = time.monotonic() + max(MEANWHILE_SECONDS, took / MEANWHILE_SHARE)

    def _write_report(self, state: str, differences: Any = None) -> Path:
        from bthcheck.harness.against import asked
        from bthcheck.report.page import write

        return write(
            self.settings.results,
            **self._records(),
            runs=usage(self.settings.channel).to_dict(),
            profile=self.settings.profile,
            placebo=self.settings.placebo,
            baseline={} if self.settings.falsify else {id: one["verdict"] for id, one in self.baseline["claims"].items()},
            seconds=time.time() - self.started,
            root=self.config.rootpath,
            trained_on=cluster.sentences(self.settings.channel),
            command=paper.typed or ["pytest", *map(str, self.config.invocation_params.args)],
            settings=asked(self.config, self.settings),
            differences=differences,
            record=_relative(paper.replayed[1] if paper.replayed else self.settings.record),
            state=state,
            falsification=self.falsification,
        )

    @property
    def falsification(self) -> dict[str, Any] | None:
        """What a session of attacks has found so far; None for one that tests claims."""
        if self.settings.falsify is None:
            return None
        events = self.settings.channel.events()
        planned = max([event["attacks"] for event in events if event["event"] == "plan"], default=0)
        return falsify.gathered(events, planned)

    def _rows(self) -> list[dict[str, Any]]:
        claims = {} if self.settings.falsify is not None else self.baseline["claims"]
        return [{**row, "on_record": claims.get(row["claim"]["id"], {}).get("verdict")} for row in self.results.rows()]

    def _write_markdown(self, path: Path) -> None:
        from bthcheck.report.job_summary import write

        footer = [f"Runs: {usage(self.settings.channel)}."]
        footer += [f"Report: {_relative(self.report)}"] if self.report is not None else []
        write(path, self._rows(), profile=self.settings.profile, placebo=self.settings.placebo,
              footer=[*footer, *self.unwritten])  # fmt: skip

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not self.reports:
            return
        from bthcheck.report import ending, terminal
        from bthcheck.text import shown

        encoding = getattr(terminalreporter._tw._file, "encoding", None)

        def say(line: str, **markup: bool) -> None:
            terminalreporter.write_line(shown(line, encoding), **markup)

        rows, placebo = self._rows(), self.settings.placebo
        found = self.falsification
        if found is not None:
            self._say_attacks(terminalreporter, say, found)
            return
        terminalreporter.section("verdicts" + (" on a placebo" if placebo else ""))
        verbose = self.config.get_verbosity() > 0
        width = terminalreporter._tw.fullwidth
        for line, color in terminal.verdicts(rows, width, verbose=verbose, placebo=placebo, encoding=encoding):
            say(line, **{color: True} if color else {})
        say(f"claims: {terminal.summary(rows, placebo=placebo)}")
        if self.state != FINISHED:
            say(ending.sentence(self.state, self.results.rows()), red=True)
        say(f"runs: {usage(self.settings.channel)}")
        for sentence in cluster.sentences(self.settings.channel):
            say(sentence)
        for id in self.missing:
            if not (self.settings.update and id in self._gone()):  # of those the update tells
                say(f"claim {id} is on record, and did not run", red=True)
        for sentence in self.updated.sentences() if self.updated else []:
            say(sentence)
        for sentence in self.unwritten:
            say(sentence, red=True)
        if self.report is not None:
            say(f"report: {_relative(self.report)}")

    def _say_attacks(self, terminalreporter: Any, say: Any, found: dict[str, Any]) -> None:
        from bthcheck.report import falsification

        terminalreporter.section("attacks on exact claims")
        for line, color in falsification.lines(found):
            say(line, **{color: True} if color else {})
        say(f"attacks: {falsification.summary(found)}")
        for sentence in self.unwritten:
            say(sentence, red=True)
        if self.report is not None:
            say(f"report: {_relative(self.report)}")

    def pytest_unconfigure(self) -> None:
        shutil.rmtree(self.settings.channel.folder, ignore_errors=True)
        for folder in self._made:  # to see whether they can be written
            with contextlib.suppress(OSError):
                folder.rmdir()  # only if nothing was

    def _hear_of_claims(self) -> None:
        for event in self.settings.channel.events("collected"):
            self.results.claims.update(event["claims"])
            self._weights.update(event["weights"])

    @contextlib.contextmanager
    def _or_say(self, consequence: str) -> Iterator[None]:
        """Keep what goes wrong from hiding the verdicts: a sentence below them says it."""
        try:
            yield
        except OSError as error:
            what = f"{error.filename} cannot be written" if error.filename else "a file cannot be written"
            self.unwritten.append(f"{consequence}: {what}: {error.strerror}")
        except Exception as error:
            self.unwritten.append(f"{consequence}: {type(error).__name__}: {error}")


def _relative(path: Path) -> str:
    """Return a path as it is called from here, or in full where it is not: from another drive or a deleted folder."""
    try:
        return os.path.relpath(path)
    except (ValueError, OSError):
        return str(path)
