"""Bring a real Kubernetes up on this machine, and down again."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from cluster import base_image, buildkit, images, kueue, lifecycle, shell_environment, tools
from cluster.errors import ClusterError
from cluster.paths import Paths
from cluster.prerequisites import Machine, problems_of_building, problems_of_running, require


def main(argv: list[str] | None = None) -> int:
    """Run one verb."""
    arguments = _parser().parse_args(argv)
    os.environ["PATH"] += ":/usr/sbin:/sbin"  # where a user's PATH ends before `ip` and `nft`
    run: Callable[[Paths, argparse.Namespace], None] = arguments.run
    try:
        run(Paths.from_environment(), arguments)
    except (ClusterError, OSError) as error:
        sys.stderr.write(f"cluster: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m cluster", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    up = verbs.add_parser("up", help="bring the cluster up, whatever state it is in")
    up.add_argument("--gpus", type=int, default=int(os.environ.get("TWEETBOT_PLAYED_GPUS", "2")))
    up.set_defaults(run=_up)
    down = verbs.add_parser("down", help="stop the cluster and remove its state; images and tools stay")
    down.add_argument("--all", action="store_true", help="remove images and the build cache, too")
    down.set_defaults(run=_down)
    verbs.add_parser("status", help="tell how each part stands").set_defaults(run=_status)
    verbs.add_parser("env", help="print what a shell exports to use the cluster").set_defaults(run=_env)

    build = verbs.add_parser("build", help="build tools and print the folder of each")
    build.add_argument("groups", nargs="*", metavar="TOOL", help=", ".join(tools.GROUPS))
    build.set_defaults(run=_build)

    queues = verbs.add_parser("kueue", help="install Kueue in the cluster, or remove it with all its queues")
    queues.add_argument("action", choices=["install", "remove"])
    queues.set_defaults(run=_kueue)

    builder = verbs.add_parser("builder", help="start what builds images, without the cluster")
    builder.add_argument("action", choices=["up"])
    builder.set_defaults(run=_builder_up)

    image = verbs.add_parser("image", help="build, list and remove images").add_subparsers(required=True)
    image.add_parser("base", help="make the base image").set_defaults(run=_image_base)
    image_build = image.add_parser("build", help="build an image from a Dockerfile")
    image_build.add_argument("--file", type=Path, required=True)
    image_build.add_argument("--tag", required=True)
    image_build.add_argument("--target")
    image_build.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    image_build.add_argument("context", nargs="?", type=Path, default=Path())
    image_build.set_defaults(run=_image_build)
    image.add_parser("list", help="list the images").set_defaults(run=_image_list)
    remove = image.add_parser("rm", help="remove images")
    remove.add_argument("tags", nargs="+", metavar="TAG")
    remove.set_defaults(run=_image_remove)
    image.add_parser("prune", help="remove the build cache and unnamed images").set_defaults(run=_image_prune)
    return parser


def _up(paths: Paths, arguments: argparse.Namespace) -> None:
    require(problems_of_running(Machine.here(paths)))
    lifecycle.up(paths, arguments.gpus)


def _down(paths: Paths, arguments: argparse.Namespace) -> None:
    lifecycle.down(paths, everything=arguments.all)


def _status(paths: Paths, _: argparse.Namespace) -> None:
    found = lifecycle.status(paths)
    for part, state in found.items():
        print(f"{part:<24} {state}")
    if not set(found.values()) <= {"running", "ready"}:
        raise ClusterError("the cluster is not up: `python3 -m cluster up` repairs it")


def _env(paths: Paths, _: argparse.Namespace) -> None:
    print(shell_environment.render(shell_environment.variables(paths, os.environ)))


def _build(paths: Paths, arguments: argparse.Namespace) -> None:
    require(problems_of_building(Machine.here(paths)))
    for name in arguments.groups or tools.EVERYDAY:
        print(tools.ensure(paths, name))


def _kueue(paths: Paths, arguments: argparse.Namespace) -> None:
    require(problems_of_running(Machine.here(paths)))
    {"install": kueue.install, "remove": kueue.remove}[arguments.action](paths)


def _builder_up(paths: Paths, _: argparse.Namespace) -> None:
    require(problems_of_running(Machine.here(paths)))
    buildkit.start(paths)


def _image_base(paths: Paths, _: argparse.Namespace) -> None:
    require(problems_of_running(Machine.here(paths)))
    base_image.ensure(paths)


def _image_build(paths: Paths, arguments: argparse.Namespace) -> None:
    require(problems_of_running(Machine.here(paths)))
    build_arguments = dict(argument.partition("=")[::2] for argument in arguments.build_arg)
    images.build(
        paths,
        images.Build(
            file=arguments.file,
            tag=arguments.tag,
            context=arguments.context,
            target=arguments.target,
            arguments=build_arguments,
        ),
    )


def _image_list(paths: Paths, _: argparse.Namespace) -> None:
    for name in images.names(paths):
        print(name)


def _image_remove(paths: Paths, arguments: argparse.Namespace) -> None:
    images.remove(paths, arguments.tags)


def _image_prune(paths: Paths, _: argparse.Namespace) -> None:
    images.prune(paths)


if __name__ == "__main__":
    sys.exit(main())
