import json
import tarfile
from pathlib import Path

from cluster import base_image, images, oci, registry_access


def test_build_command_names_file_target_and_secrets():
    wanted = images.Build(Path("dir/Dockerfile.trainer"), "docker.io/local/t:dev", target="train")
    line = images.build_arguments(wanted, {"BASE_IMAGE": "base"}, {"ca-bundle": Path("/s/ca-bundle")})
    assert "--opt=filename=Dockerfile.trainer" in line
    assert "--local=dockerfile=dir" in line
    assert "--opt=target=train" in line
    assert "--opt=build-arg:BASE_IMAGE=base" in line
    assert "--secret=id=ca-bundle,src=/s/ca-bundle" in line
    assert any("name=docker.io/local/t:dev" in part for part in line)


def test_base_image_comes_from_the_mirror_that_apt_uses():
    targets = "bookworm-updates main http://a.invalid/\nbookworm main http://b.invalid/\n"
    assert base_image.mirror(targets) == ["http://b.invalid/"]
    assert base_image.mirror("trixie main http://a.invalid/") == []


def test_pip_options_come_from_files_and_the_environment_wins(tmp_path):
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = http://file.invalid/\nproxy = http://proxy.invalid\ncert = /some/where\n")
    text = registry_access.pip_configuration({"PIP_INDEX_URL": "http://environment.invalid/"}, [file])
    assert text == "[global]\nindex-url = http://environment.invalid/\nproxy = http://proxy.invalid\n"


def test_uv_settings_are_empty_on_a_plain_machine(tmp_path):
    assert registry_access.uv_configuration({}, [tmp_path / "uv.toml"]) == ""
    assert registry_access.uv_configuration({"UV_DEFAULT_INDEX": "http://i.invalid/"}, []) == (
        'index-url = "http://i.invalid/"\n'
    )


def test_secrets_are_for_the_owner_only(tmp_path):
    files = registry_access.write_secrets(tmp_path, {})
    assert set(files) == {"ca-bundle", "pip.conf", "uv.toml", "apt.conf"}
    assert {file.stat().st_mode & 0o777 for file in files.values()} == {0o600}


def test_proxies_are_found_in_either_case():
    assert registry_access.proxy_arguments({"https_proxy": "http://p.invalid"}) == {"HTTPS_PROXY": "http://p.invalid"}


def test_archive_holds_a_whole_image(tmp_path):
    program = tmp_path / "pause"
    program.write_bytes(b"a program")
    oci.layer_of_program(program, tmp_path / "layer.tar")
    image = oci.Image(tmp_path / "layer.tar", "amd64", ("docker.io/local/pause:1",), entrypoint=("/pause",))
    oci.write_archive(image, tmp_path / "image.tar")
    with tarfile.open(tmp_path / "image.tar") as archive:
        content = {name: archive.extractfile(name).read() for name in archive.getnames()}
    (described,) = json.loads(content["index.json"])["manifests"]
    assert described["annotations"]["io.containerd.image.name"] == "docker.io/local/pause:1"
    manifest = json.loads(content[blob(described)])
    assert json.loads(content[blob(manifest["config"])])["config"]["Entrypoint"] == ["/pause"]
    assert content[blob(manifest["layers"][0])] == (tmp_path / "layer.tar").read_bytes()


def blob(descriptor):
    return "blobs/" + descriptor["digest"].replace(":", "/")
