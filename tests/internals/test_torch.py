"""What sb3_ext.internals.torch relies on in torch."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
import torch

from sb3_ext.internals.torch import (
    call_after_backward,
    get_adam_step,
    get_own_parameters,
    has_hooks,
    skipping_distribution_checks,
)


def run_python(code: str) -> list[str]:
    """:return: the printed lines of a fresh process, in which nothing of torch is imported yet"""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


IMPORT = """
import inspect, os, sys, torch
from sb3_ext.internals.torch import defer_compiler

defer_compiler()
"""
TRAIN = """
network = torch.nn.Linear(2, 1)
optimizer = torch.optim.Adam(network.parameters())

def step():
    optimizer.zero_grad()
    network(torch.ones(2)).backward()
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())

step()
inspect.getmodule(step)  # looks at every module
print("torch._dynamo.config" in sys.modules)
"""


USES = [
    "compiled = torch.compile(lambda x: 2 * x, backend='eager'); print(compiled(torch.ones(1)).item())",
    "import torch._dynamo.config as config; print(float(2 * (config is torch._dynamo.config)))",
    "from torch._dynamo import config; print(2.0 * (config is sys.modules['torch._dynamo.config']))",
]
FORK = """
for code in codes:
    if (pid := os.fork()) == 0:
        exec(code)
        sys.stdout.flush()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0, code
"""


def test_optimizers_do_without_the_compiler_until_it_is_used() -> None:
    is_real = "print(torch._dynamo is sys.modules['torch._dynamo'])"
    codes = [f"{TRAIN}\n{use}\n{is_real}\nstep()\n" for use in USES]

    lines = run_python(f"{IMPORT}\ncodes = {codes!r}\n{FORK}")

    assert lines == ["False", "2.0", "True"] * len(USES)


def test_a_compiler_that_is_imported_already_stays() -> None:
    lines = run_python(
        """
        import sys, torch._dynamo
        from sb3_ext.internals.torch import defer_compiler

        before = sys.modules["torch._dynamo"]
        defer_compiler()
        print(sys.modules["torch._dynamo"] is before)
        """
    )
    assert lines == ["True"]


def test_hooks_of_a_module_are_noticed() -> None:
    module = torch.nn.Linear(1, 1)
    assert not has_hooks(module)
    module.register_forward_hook(lambda *arguments: None)
    assert has_hooks(module)


def test_own_parameters_are_those_that_the_module_uses() -> None:
    module = torch.nn.Linear(1, 1)
    parameters = get_own_parameters(module)
    module.bias = torch.nn.Parameter(torch.ones(1))
    assert parameters["bias"] is module.bias


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.AdamW])
def test_the_step_of_adam_is_that_of_the_fused_optimizer(optimizer: type[torch.optim.Adam]) -> None:
    weights, gradient = torch.nn.Parameter(torch.ones(3)), torch.tensor([0.5, -1.0, 2.0])
    found, buffers, counter = weights.detach().clone(), [torch.zeros(3), torch.zeros(3)], torch.tensor(1.0)
    fused = optimizer([weights], lr=0.1, weight_decay=0.3, fused=True)
    weights.grad = gradient
    fused.step()
    settings = {"lr": 0.1, "beta1": 0.9, "beta2": 0.999, "weight_decay": 0.3, "eps": 1e-8}
    step = get_adam_step(is_decoupled=optimizer is torch.optim.AdamW)
    step([found], [gradient], *([part] for part in buffers), [], [counter], amsgrad=False, maximize=False, **settings)
    assert torch.equal(found, weights)


def test_a_function_is_called_once_when_all_gradients_of_a_backward_pass_are_there() -> None:
    module, calls = torch.nn.Linear(2, 3), []

    def note(_tensor: torch.Tensor) -> None:
        if not calls:
            calls.append("begun")
            call_after_backward(lambda: calls.append([tensor.grad is not None for tensor in module.parameters()]))

    for tensor in module.parameters():
        tensor.register_post_accumulate_grad_hook(note)
    module(torch.ones(4, 2)).sum().backward()
    assert calls == ["begun", [True, True]]


def test_distributions_are_checked_again_after_the_block() -> None:
    with skipping_distribution_checks():
        torch.distributions.Categorical(logits=torch.tensor([float("nan")]))
    with pytest.raises(ValueError, match="logits"):
        torch.distributions.Categorical(logits=torch.tensor([float("nan")]))
