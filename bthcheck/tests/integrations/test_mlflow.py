"""Records in MLflow's file store."""

import mlflow
import pytest

from bthcheck.tests.integrations.training import logged, series
from bthcheck.watching.logs import MLflow


@pytest.fixture
def store(tmp_path, monkeypatch):
    """The address of a file store of the test's own."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    address = (tmp_path / "store").as_uri()
    mlflow.set_tracking_uri(address)
    yield address
    while mlflow.active_run() is not None:
        mlflow.end_run()
    mlflow.set_tracking_uri("")


def test_the_file_store_is_read_back_the_same(store, monkeypatch):
    sent = []
    whole = mlflow.MlflowClient.log_batch

    def counted(self, run_id, metrics=(), **options):
        sent.append(len(metrics))
        return whole(self, run_id, metrics=metrics, **options)

    monkeypatch.setattr(mlflow.MlflowClient, "log_batch", counted)
    with mlflow.start_run() as run:
        records = logged(MLflow(), steps=200)
    client = mlflow.MlflowClient(store)
    names = [name for name in client.get_run(run.info.run_id).data.metrics if name.startswith("bthcheck/")]
    assert {"bthcheck/phi", "bthcheck/train_loss", "bthcheck/lipschitz_mean", "bthcheck/epoch"} <= set(names)
    for name in names:
        history = client.get_metric_history(run.info.run_id, name)
        assert {metric.step: metric.value for metric in history} == series(records, name.removeprefix("bthcheck/")), name
    assert len(sent) < 20  # and not one for each of 200 records
    assert max(sent) == 1000


@pytest.mark.parametrize("by_id", [True, False])
def test_a_run_can_be_given(store, by_id):
    with mlflow.start_run() as run:
        pass
    records = logged(MLflow(run.info.run_id if by_id else run, tracking_uri=store))
    history = mlflow.MlflowClient(store).get_metric_history(run.info.run_id, "bthcheck/phi")
    assert {metric.step: metric.value for metric in history} == series(records, "phi")


def test_without_a_run_it_says_so(store):
    with pytest.raises(ValueError, match="no MLflow run is active; call"):
        MLflow()
