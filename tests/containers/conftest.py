"""The images, made once, and one system of containers for all tests of this folder."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.containers.fleet import Fleet, Images
from tests.containers.images import base_images, haproxy_image, one_at_a_time, tieline_image
from tests.support.resuming import ResumingPeople


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    folder = tmp_path_factory.mktemp("images")
    built = folder / "built"
    with one_at_a_time():
        base, builder = base_images(folder)
        return Images(base, tieline_image(folder, base, builder, built), haproxy_image(folder), built)


@pytest.fixture(scope="session")
def fleet(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with Fleet(images, tmp_path_factory.mktemp("fleet")) as running:
        yield running


@pytest.fixture
async def people(fleet: Fleet) -> AsyncIterator[ResumingPeople]:
    async with ResumingPeople(fleet) as present:
        yield present
