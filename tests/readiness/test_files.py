"""Files with secrets that others may read."""

import pytest

from tests.readiness.fitting import FLAWLESS, about, configured
from veltrix.config import load
from veltrix.readiness.files import judge_files


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_a_configuration_with_a_password_is_for_its_owner_alone(tmp_path, mode):
    """A file that holds a password, and that others may read or write, is found with its mode."""
    file = tmp_path / "veltrix.toml"
    file.write_text('[kafka]\nusername = "me"\npassword = "hunter2"\n', encoding="utf-8")
    environ = {name: value for name, value in FLAWLESS.items() if "KAFKA_PASSWORD" not in name}
    file.chmod(mode)
    found = list(judge_files(load(file, environ=environ)))
    assert about(found, "readable_secret") == [f"{file} (it holds kafka.password): mode {mode:04o}"]
    assert f"chmod 600 {file}" in found[0].remedy
    assert "hunter2" not in str(found)
    file.chmod(0o600)
    assert list(judge_files(load(file, environ=environ))) == []


def test_a_configuration_without_secrets_may_be_read(tmp_path):
    """Where passwords come from variables, the file itself holds nothing to hide."""
    file = tmp_path / "veltrix.toml"
    file.write_text('[etcd]\nprefix = "/other"\n', encoding="utf-8")
    file.chmod(0o644)
    assert list(judge_files(configured(file))) == []


@pytest.mark.parametrize(
    ("variable", "key"),
    [
        ("secrets_master_key_file", "secrets.master_key_file"),
        ("kafka_key_file", "kafka.key_file"),
        ("postgres_key_file", "postgres.key_file"),
        ("etcd_key_file", "etcd.key_file"),
        ("postgres_password_file", "postgres.password_file"),
        ("smtp_password_file", "smtp.password_file"),
    ],
)
def test_every_secret_file_is_looked_at(tmp_path, variable, key):
    """Master key, TLS keys and password files are found when others may read them, and not otherwise."""
    file = tmp_path / "secret"
    file.write_text("secret", encoding="utf-8")
    given: dict[str, str | None] = {variable: str(file)}
    if variable.endswith("_key_file") and "master" not in variable:
        given[variable.replace("key_file", "certificate_file")] = str(file)
    if variable == "smtp_password_file":
        given["smtp_username"] = "me"
    file.chmod(0o644)
    loaded = configured(None, **given)
    assert about(judge_files(loaded), "readable_secret") == [f"{file} ({key}): mode 0644"]
    file.chmod(0o600)
    assert list(judge_files(loaded)) == []


def test_the_data_directory_of_one_machine_is_private(tmp_path):
    """Without engines the data directory has keys in it."""
    engines = {"kafka_bootstrap_servers": None, "postgres_hosts": None, "etcd_endpoints": None}
    tmp_path.chmod(0o755)
    found = judge_files(configured(data_directory=str(tmp_path), **engines))
    assert about(found, "readable_secret") == [f"{tmp_path} (data.directory): mode 0755"]
