"""Hooks of the process that reports: progress while it trains, then the verdicts and the report."""

import contextlib
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from bthcheck.choices import available_threads
from bthcheck.harness.results import Results
from bthcheck.harness.session import ProgressMonitor, usage
from bthcheck.harness.settings import Settings, baseline_path
from bthcheck.harness.worker import Worker
from bthcheck.report.baseline import write_baseline

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Environment variables by which libraries learn how many threads they may start."""


class Controller(Worker):
    """Hooks of the process that reports. Without xdist it also runs the tests."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        super().__init__(config, settings)
        self.results = Results()
        self.started = time.time()
        self.report: Path | None = None
        self.monitor = ProgressMonitor(settings.channel, self._say)

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
        shared = {"channel": self.settings.channel.folder, "results": self.settings.results, "cache": self.settings.cache}
        node.workerinput["bthcheck"] = {name: str(path) for name, path in shared.items()}

    def pytest_sessionstart(self) -> None:
        self.monitor.start()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.results.add(report)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        self.monitor.stop()
        for event in self.settings.channel.events("collected"):
            self.results.claims.update(event["claims"])
        if not self.results.claims or self.config.option.collectonly:
            return
        from bthcheck.report.experiments import distinct
        from bthcheck.report.page import write

        rows = self.results.rows()
        if self.config.getoption("update_baseline") and not self.settings.placebo:
            write_baseline(baseline_path(self.config), self.settings.profile, rows)
        self.report = write(
            self.settings.results,
            rows,
            experiments=distinct(self.settings.channel.events("experiment")),
            runs=usage(self.settings.channel).to_dict(),
            profile=self.settings.profile,
            placebo=self.settings.placebo,
            baseline=self.settings.baseline,
            seconds=time.time() - self.started,
            root=self.config.rootpath,
            arguments=[str(argument) for argument in self.config.invocation_params.args],
        )

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.report is None:
            return
        from bthcheck.report.terminal import table

        terminalreporter.section("verdicts" + (" on a placebo" if self.settings.placebo else ""))
        for line, color in table(self.results.rows(), terminalreporter._tw.fullwidth):
            terminalreporter.write_line(line, **{color: True} if color else {})
        terminalreporter.write_line(f"runs: {usage(self.settings.channel)}")
        terminalreporter.write_line(f"report: {os.path.relpath(self.report)}")

    def pytest_unconfigure(self) -> None:
        shutil.rmtree(self.settings.channel.folder, ignore_errors=True)
        for folder in (self.settings.results, self.settings.cache):  # made to see whether they can be written
            with contextlib.suppress(OSError):
                folder.rmdir()  # only if nothing was

    def _say(self, line: str) -> None:
        terminal: Any = self.config.pluginmanager.getplugin("terminalreporter")
        if terminal is not None:
            terminal.ensure_newline()
            terminal.write_line(line)
