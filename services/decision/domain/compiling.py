"""How this service's numeric code is compiled: by numba, without Python's lock, the same digits everywhere.

Sums run in the order that the code states: nothing is reassociated, so every machine gets the same plan. What is
compiled is kept under the hash of all files that are compiled (`clients.compiling`), so that it is done once.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit
from numba._dynfunc import make_function
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering

# Of `njit`. Compiled code makes no arrays and keeps none, so it need not count who holds them: counting takes longer
# than most functions do, and each call counts every array. The last is not among the types that numba declares.
COMPILED: Any = {"nogil": True, "error_model": "numpy", "_nrt": False}


class _UnfinishedLibrary(JITCodeLibrary):
    """Code that is only ever linked into other code: neither optimised nor made machine code by itself."""

    def _optimize_final_module(self) -> None:
        """Leave that to the library it is linked into."""

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class _PartLowering(NativeLowering):
    """From numba's types to LLVM's, and no further."""

    _name = "part_lowering"

    def run_pass(self, state: Any) -> bool:  # noqa: ANN401 - numba has no types
        state.library = _UnfinishedLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        state.flags.no_compile = True
        # No function writes to what another of its arguments is read from.
        state.flags.noalias = True
        super().run_pass(state)
        lowered = state["cr"]
        # A dispatcher wants a function to call, which nobody does: there is no machine code behind it.
        unreachable = make_function(
            lowered.fndesc.lookup_module(), lowered.fndesc.qualname, "", 0, lowered.env, (state.library,)
        )
        state.targetctx.insert_user_function(unreachable, lowered.fndesc, [state.library])
        state["cr"] = lowered._replace(cfunc=unreachable)
        return True


class _PartCompiler(CompilerBase):
    """numba would optimise a function, and everything that it calls, by itself and again in each that calls it."""

    def define_pipelines(self) -> list[Any]:
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.passes = [
            (_PartLowering, why) if each is NativeLowering else (each, why) for each, why in pipeline.passes
        ]
        pipeline.finalize()
        return [pipeline]


# No way in from Python.
PART: Any = {**COMPILED, "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": _PartCompiler}

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Compile a function when it is first called, or load what was compiled; it then runs without Python's lock."""
    return cast(Function, njit(cache=True, **COMPILED)(function))


def part(function: Function) -> Function:
    """Compile a function that only compiled code calls: it is kept with its caller, and Python cannot call it."""
    return cast(Function, njit(**PART)(function))


def within(function: Function) -> Function:
    """Compile a function into each that calls it: to pass it all those arrays would take longer than what it does."""
    return cast(Function, njit(forceinline=True, **PART)(function))


def inlined(function: Function) -> Function:
    """Compile a function as part of the one that calls it: the compiler would else optimise it at every level anew."""
    return cast(Function, njit(inline="always", **PART)(function))
