"""Weights in 16 bits: rounding that keeps the mean, an AdamW that follows float32's, and how many weights a step moves."""

from __future__ import annotations

import math
import socket

import pytest
import sharded
import tiny
import torch
import training

from helpers.finetune import precision
from helpers.finetune.precision import AdamW16, round_stochastically

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


# --- rounding ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.05, -0.05, 1.00001, -3.14159, 1e-5, -1e-30, 2.7e38, 1e-40, 65504.3])
def test_rounding_keeps_the_mean_and_gives_only_the_two_neighbours(value):
    n = 200_000
    rounded = round_stochastically(torch.full((n,), value, dtype=torch.float32))
    assert rounded.dtype == torch.bfloat16
    exact = torch.tensor(value, dtype=torch.float32).double().item()
    low, high = rounded.double().min().item(), rounded.double().max().item()
    assert low < exact < high and set(rounded.double().unique().tolist()) == {low, high}
    up, p = (rounded.double() == high).double().mean().item(), (exact - low) / (high - low)
    assert abs(up - p) < 5 * math.sqrt(p * (1 - p) / n)  # the share that keeps the mean
    nearest = torch.tensor(value).bfloat16().double().item()
    assert nearest in (low, high)


def test_a_number_that_bfloat16_holds_stays_as_it_is():
    largest = torch.finfo(torch.bfloat16).max
    held = torch.tensor([0.0, -0.0, 1.0, -1.0, 0.049072265625, -256.0, largest, -largest, 1e-38, math.inf, -math.inf])
    held = torch.cat([held.bfloat16().float(), torch.randn(5000).bfloat16().float()])
    for _ in range(20):
        rounded = round_stochastically(held).float()
        assert torch.equal(rounded, held) and torch.equal(rounded.signbit(), held.signbit())


def test_what_is_no_number_does_not_become_one():
    """A GPU writes NaN as 0x7fffffff: noise added to its bits would make -0.0 of it, and a broken run go on."""
    bits = torch.tensor([0x7FFFFFFF, 0x7FC00000, -1, 0x7F800001 - (1 << 32) + 0x80000000], dtype=torch.int32)
    for _ in range(50):
        assert not round_stochastically(bits.view(torch.float32)).float().isfinite().any()


def test_rounding_keeps_the_shape_also_of_a_view():
    square = torch.randn(6, 5).t()
    assert round_stochastically(square).shape == (5, 6)
    assert (round_stochastically(square).float() - square).abs().max() < 0.04


# --- AdamW16 ------------------------------------------------------------------------------------------


def descend(kind, start, dtype, steps=40, **settings):
    """`start` ([n]) after AdamW steps on gradients that are drawn from a seed."""
    weight = torch.nn.Parameter(start.to(dtype).clone())
    optimizer = kind([weight], **settings)
    draw = torch.Generator().manual_seed(1)
    for _ in range(steps):
        weight.grad = (1e-3 * torch.randn(start.shape, generator=draw) + 5e-4).to(dtype)
        optimizer.step()
    return weight.detach(), optimizer


SETTINGS = {"lr": 1e-5, "betas": (0.9, 0.999), "weight_decay": 0.1}


def test_the_mean_of_many_weights_follows_float32s_where_rounding_to_the_nearest_stands_still():
    start = torch.full((100_000,), 0.05).bfloat16().float()
    exact, _ = descend(torch.optim.AdamW, start, torch.float32, **SETTINGS)
    ours, _ = descend(AdamW16, start, torch.bfloat16, **SETTINGS)
    nearest, _ = descend(torch.optim.AdamW, start, torch.bfloat16, **SETTINGS)
    way = (exact - start).mean().item()
    assert way < -1e-4
    assert (ours.float() - start).mean().item() == pytest.approx(way, rel=0.03)
    assert torch.equal(nearest.float(), start), "plain bfloat16 was to lose every update"


def test_in_float32_it_is_adamw_to_the_last_digits():
    start = torch.randn(1000)
    exact, _ = descend(torch.optim.AdamW, start, torch.float32, **SETTINGS | {"lr": 1e-2})
    ours, _ = descend(AdamW16, start, torch.float32, **SETTINGS | {"lr": 1e-2})
    assert torch.allclose(ours, exact, rtol=1e-5, atol=1e-6)


def test_the_second_moment_goes_on_learning_below_the_steps_of_bfloat16():
    """At beta2 = 0.999 a step changes it by a thousandth; bfloat16's steps are 1/256 to 1/128."""
    _, exact = descend(torch.optim.AdamW, torch.zeros(50_000), torch.float32, steps=200, **SETTINGS)
    _, ours = descend(AdamW16, torch.zeros(50_000), torch.bfloat16, steps=200, **SETTINGS)
    (exact,), (ours,) = exact.state.values(), ours.state.values()
    for moment in ("exp_avg", "exp_avg_sq"):
        assert ours[moment].dtype == torch.bfloat16
        assert ours[moment].float().mean().item() == pytest.approx(exact[moment].mean().item(), rel=0.03)


def test_its_state_is_saved_and_loaded_in_16_bits_and_a_stopped_run_goes_on_alike(tmp_path):
    def steps(weight, optimizer, n):
        for _ in range(n):
            weight.grad = torch.full_like(weight, 1e-3)
            optimizer.step()

    start = torch.full((1000,), 0.05).bfloat16()
    whole, half = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    torch.manual_seed(3)
    steps(whole, AdamW16([whole], **SETTINGS), 10)
    torch.manual_seed(3)
    first = AdamW16([half], **SETTINGS)
    steps(half, first, 5)
    torch.save(first.state_dict(), tmp_path / "optimizer.pt")
    second = AdamW16([half], lr=1.0)
    second.load_state_dict(torch.load(tmp_path / "optimizer.pt", weights_only=True))
    (state,) = second.state.values()
    assert state["exp_avg"].dtype == state["exp_avg_sq"].dtype == torch.bfloat16 and state["step"] == 5
    steps(half, second, 5)
    assert torch.equal(whole, half)


def test_a_weight_without_a_gradient_is_left_alone():
    still, moving = (torch.nn.Parameter(torch.ones(3).bfloat16()) for _ in range(2))
    optimizer = AdamW16([still, moving], lr=0.1)
    moving.grad = torch.ones_like(moving)
    optimizer.step()
    assert torch.equal(still.detach(), torch.ones(3).bfloat16()) and (moving < 1).all()


@pytest.fixture(scope="module")
def spread(tmp_path_factory):
    """What two processes make of the same start, by dtype: the whole weight and the whole optimizer state."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("spread")
    torch.multiprocessing.spawn(sharded.run, (port, folder), nprocs=2)
    return torch.load(folder / "sharded.pt", weights_only=True)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["16 bits", "32 bits"])
def test_weights_spread_over_two_processes_are_updated_and_saved_as_on_one(spread, dtype):
    weight = torch.nn.Parameter(sharded.start(dtype))
    optimizer = AdamW16([weight], **sharded.SETTINGS)
    for _ in range(sharded.STEPS):
        weight.grad = torch.ones_like(weight)
        optimizer.step()
    (alone,), (moments,) = optimizer.state.values(), spread[str(dtype)]["state"].values()
    pairs = [
        (spread[str(dtype)]["weight"], weight.detach()),
        *((moments[k], alone[k]) for k in ("exp_avg", "exp_avg_sq")),
    ]
    for ours, wanted in pairs:
        assert ours.shape == wanted.shape == (200, 300) and ours.dtype == dtype
        rounding = 2**-4 if dtype == torch.bfloat16 else 1e-6  # some of bfloat16's steps up or down, drawn at random
        assert torch.allclose(ours.float(), wanted.float(), rtol=rounding, atol=0)
        for half in ours.float().chunk(2):  # the second process's half too
            assert half.mean().item() == pytest.approx(wanted.float().mean().item(), rel=1e-3)


# --- the experiment of lesson 02 ------------------------------------------------------------------------


def test_at_the_papers_learning_rate_plain_bfloat16_moves_few_weights_and_random_rounding_more():
    weights = {"w": 0.05 * (1 + 0.3 * torch.rand(300, 300)) * torch.randn(300, 300).sign()}
    grads = {"w": 1e-3 * torch.randn(300, 300)}
    once = precision.share_that_moves(weights, grads, 1e-5)
    assert list(once) == ["fp32", "bf16", "bf16-sr"]
    assert 0 <= once["bf16"] < once["bf16-sr"] < once["fp32"] <= 1
    assert once["bf16"] < 0.01 and once["fp32"] > 0.99
    assert 0.02 < once["bf16-sr"] < 0.08  # a step of 1e-5 between neighbours 2.4e-4 apart
    often = precision.share_that_moves(weights, grads, 1e-5, steps=20)
    assert often["bf16"] < 0.01 and often["bf16-sr"] > 5 * once["bf16-sr"]
    large = precision.share_that_moves(weights, grads, 1e-2)
    assert min(large.values()) > 0.95  # a step that is large enough survives in any precision
    assert weights["w"].dtype == torch.float32 and not weights["w"].requires_grad


def test_the_weights_arrive_where_float32s_do_on_average_and_rounded_to_the_nearest_nowhere():
    weights = {"a": torch.full((200, 200), 0.05), "b": torch.full((50,), -0.07)}
    grads = {"a": 1e-3 * torch.randn(200, 200), "b": torch.full((50,), 1e-3)}
    arrived = precision.share_that_arrives(weights, grads, 1e-5, steps=10)
    assert arrived["fp32"] == pytest.approx(1.0) and arrived["bf16"] == 0.0
    assert arrived["bf16-sr"] == pytest.approx(1.0, abs=0.1)


def test_a_fine_tune_in_16_bits_learns(tmp_path):
    base = tiny.save(tmp_path / "base")
    profile = training.settings(base, precisions=("bf16-sr",), max_steps=30, learning_rate=3e-3)
    manifest = training.tune(profile, tmp_path / "out")
    assert manifest["precision"] == "bf16-sr"
    assert manifest["losses"][-1] < 0.7 * manifest["losses"][0]
