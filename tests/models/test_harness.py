"""lm-evaluation-harness on our engine: against its own Hugging Face model, on tasks written here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from harness_tasks import TASKS, write_tasks
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import byte_tokenizer, network, write_model

from trialist.errors import MissingExtra, ModelError

pytestmark = pytest.mark.torch
pytest.importorskip("lm_eval")

ROOT = Path(__file__).parent.parent.parent
MODELS = [("llama", True), ("gpt2", False), ("gemma2", True), ("mistral", False), ("opt", False)]
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tasks(tmp_path_factory.mktemp("tasks"))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("llama"), adds_bos=True)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("gpt2"), "gpt2")


def ours(folder: Path, **settings: Any) -> Any:
    from trialist.models.harness import TrialistLM

    return TrialistLM(str(folder), device="cpu", **settings)


def theirs(folder: Path, **settings: Any) -> Any:
    from lm_eval.models.huggingface import HFLM

    # Batches of one: in a larger batch whether a prompt gets a begin token depends on the batch's first prompt.
    return HFLM(pretrained=str(folder), device="cpu", dtype="float32", batch_size=1, **settings)


def evaluate(lm: Any, tasks: Path, names: list[str], **options: Any) -> dict[str, Any]:
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(tasks), include_defaults=False)
    return simple_evaluate(model=lm, tasks=names, task_manager=manager, bootstrap_iters=0, **options)


def ask(lm: Any, kind: str, *arguments: tuple[Any, ...]) -> list[Any]:
    from lm_eval.api.instance import Instance

    requests = [Instance(kind, {}, args, i) for i, args in enumerate(arguments)]
    return getattr(lm, kind)(requests, disable_tqdm=True)


def assert_same_answer(mine: Any, its: Any) -> None:
    if isinstance(its, str):
        assert mine == its
    elif isinstance(its, tuple):
        assert mine[0] == pytest.approx(its[0], abs=TOLERANCE)
        assert mine[1] is its[1]
    else:
        # The harness adds a long text's terms in fp32.
        assert mine == pytest.approx(its, abs=TOLERANCE, rel=1e-6)


def assert_same_results(mine: dict[str, Any], its: dict[str, Any], names: list[str]) -> None:
    for name in names:
        for key, value in its["results"][name].items():
            is_count_of_hits = not isinstance(value, float) or key.startswith(("acc", "exact_match"))
            same = value if is_count_of_hits else pytest.approx(value, rel=TOLERANCE)
            assert mine["results"][name][key] == same, key
        assert len(mine["samples"][name]) == len(its["samples"][name]) > 0
        for a, b in zip(mine["samples"][name], its["samples"][name], strict=True):
            assert a["arguments"] == b["arguments"]
            for x, y in zip(a["resps"], b["resps"], strict=True):
                assert_same_answer(x[0], y[0])


@pytest.mark.parametrize(("kind", "adds_bos"), MODELS)
def test_tasks_give_the_harness_own_numbers(kind: str, adds_bos: bool, tasks: Path, tmp_path: Path) -> None:
    folder = write_model(tmp_path / kind, kind, adds_bos=adds_bos)
    names = list(TASKS)
    mine, its = (evaluate(lm, tasks, names) for lm in (ours(folder), theirs(folder)))
    assert_same_results(mine, its, names)
    said = [sample["resps"][0][0] for sample in mine["samples"]["tiny_prompts"]]
    assert len(set(said)) > 2, "texts differ, so that equal texts mean something"


def test_a_greedy_continuation_is_found(llama: Path) -> None:
    """A random model's own words: the tasks above rarely want what it would say."""
    lm, hf = ours(llama), theirs(llama)
    contexts = [f"{first} {second}" for first in ("the", "a", "this") for second in "abcdefghijklmnop"]
    said = ask(lm, "generate_until", *((context, {"until": [], "max_gen_toks": 2}) for context in contexts))
    whole = [(context, text) for context, text in zip(contexts, said, strict=True) if text and text.isascii()]
    assert len(whole) > 2, "texts that are tokenised as they were generated"
    pairs = [(context, text + more) for context, text in whole for more in ("", "q")]
    mine, its = ask(lm, "loglikelihood", *pairs), ask(hf, "loglikelihood", *pairs)
    for a, b in zip(mine, its, strict=True):
        assert_same_answer(a, b)
    assert any(greedy for _, greedy in mine)
    assert not all(greedy for _, greedy in mine)


def test_the_engine_gets_the_prompt_as_tokens(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut on the left where it is too long, its begin token with the rest; no text comes between."""
    from harness_tasks import LONG

    lm = ours(llama)
    seen: list[Any] = []
    generate = type(lm.model).generate

    def spy(model: Any, drafts: Any, progress: Any = None) -> Any:
        seen.extend(drafts)
        return generate(model, drafts, progress)

    monkeypatch.setattr(type(lm.model), "generate", spy)
    settings = {"until": ["\n"], "max_gen_toks": 28}
    short = "the thing"
    ask(lm, "generate_until", (LONG, settings), (short, settings), ("", settings))
    whole, ids = ((lm.tokenizer(text).input_ids) for text in (LONG, short))
    assert whole[0] == lm.prefix_token_id
    assert [list(draft.context) for draft in seen] == [whole[-100:], ids, [lm.prefix_token_id]]
    assert lm.prefix_token_id not in seen[0].context
    assert {draft.stop for draft in seen} == {("\n", "</s>")}


def test_texts_come_in_the_order_of_the_requests(llama: Path) -> None:
    """Those that end early don't come first."""
    lm, hf = ours(llama), theirs(llama)
    lengths = (24, 1, 12, 2, 18, 3)
    prompts = [("The thing", {"until": [], "max_gen_toks": length}) for length in lengths]
    said = ask(lm, "generate_until", *prompts)
    assert said == ask(hf, "generate_until", *prompts)
    assert len(set(said)) == len(lengths)


def test_a_stop_string_that_decoding_alone_takes_away_stops_nothing(tmp_path: Path) -> None:
    """Decoders of the Llama 2 kind drop the space before the first token: there the harness doesn't see it."""
    from tokenizers import Tokenizer, decoders, models, normalizers
    from transformers import PreTrainedTokenizerFast

    from trialist.models.harness.generation import Options

    folder = write_model(tmp_path / "spaces", vocab_size=300)
    words = [f"▁b{i}" for i in range(40)]
    vocab = {part: i for i, part in enumerate(["<s>", "</s>", "<unk>", *(f"<0x{i:02X}>" for i in range(256)), *words])}
    backend = Tokenizer(models.BPE(vocab, [], unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    backend.decoder = decoders.Sequence(parts)
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=backend, **special).save_pretrained(folder)
    lm, hf = ours(folder), theirs(folder)
    prompts = [(chr(97 + i // 8) + chr(97 + i % 8), {"until": [" "], "max_gen_toks": 10}) for i in range(64)]
    said = ask(lm, "generate_until", *prompts)
    assert said == ask(hf, "generate_until", *prompts)
    options = [Options(10, (" ",), 0.0)] * len(prompts)
    engine = lm.model.generate(lm._drafts([prompt for prompt, _ in prompts], options, 0))
    assert any(reply.text == "" and text for reply, text in zip(engine, said, strict=True)), "the engine stopped there"


def test_samples_are_reproducible_and_differ_by_seed(llama: Path) -> None:
    import torch

    lm = ours(llama)
    asked = ("The thing", {"until": [], "max_gen_toks": 12, "do_sample": True, "temperature": 1.5})

    def sampled(seed: int) -> list[str]:
        torch.manual_seed(seed)  # what the harness does with --seed
        return ask(lm, "generate_until", *[asked] * 4)

    first = sampled(1)
    assert len(set(first)) == 4, "each request draws for itself"
    assert sampled(1) == first
    assert not set(sampled(2)) & set(first)
    cold = ("The thing", {**asked[1], "temperature": 1e-4})
    greedy = ("The thing", {"until": [], "max_gen_toks": 12})
    assert ask(lm, "generate_until", cold) == ask(lm, "generate_until", greedy)


@pytest.mark.parametrize("adds_bos", [False, True])
@pytest.mark.parametrize("options", [{}, {"add_bos_token": True}, {"prefix_token_id": 5}, {"max_length": 20}])
def test_arguments_mean_what_they_mean_there(adds_bos: bool, options: dict[str, Any], tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", adds_bos=adds_bos)
    lm, hf = ours(folder, **options), theirs(folder, **options)
    assert (lm.prefix_token_id, lm.eot_token_id) == (hf.prefix_token_id, hf.eot_token_id)
    assert (lm.max_length, lm.max_gen_toks, lm.tokenizer_name) == (hf.max_length, hf.max_gen_toks, hf.tokenizer_name)
    pairs = [("The thing is", " the abbey"), ("", "the band"), ("a " * 12, "b"), ("<s>The", " ban"), ("", "<s>x")]
    for a, b in zip(ask(lm, "loglikelihood", *pairs), ask(hf, "loglikelihood", *pairs), strict=True):
        assert_same_answer(a, b)
    texts = [("the abbey is this band",), ("<s>ab",), ("",)]
    for a, b in zip(ask(lm, "loglikelihood_rolling", *texts), ask(hf, "loglikelihood_rolling", *texts), strict=True):
        assert_same_answer(a, b)
    prompts = [(text, {"until": ["q"], "max_gen_toks": 5}) for text in ("The thing", "<s>ab", "is the")]
    assert ask(lm, "generate_until", *prompts) == ask(hf, "generate_until", *prompts)


def recorder(adds_bos: bool) -> Any:
    """The harness's own model that gives back the tokens it would have scored."""
    from lm_eval.models.huggingface import HFLM

    hf = HFLM(pretrained=network(), tokenizer=byte_tokenizer(adds_bos=adds_bos))
    hf._loglikelihood_tokens = lambda requests, **_: [(a, b) for _, a, b in requests]
    return hf


RECORDERS: dict[bool, Any] = {}
PARTS = ("t", "h", "e", " ", "\n", "<s>", "</s>", "é", "a", "\u3000")
TEXT = st.lists(st.sampled_from(PARTS), max_size=6).map("".join)


@settings(max_examples=150)
@given(context=TEXT, continuation=TEXT.filter(bool), adds_bos=st.booleans())
def test_tokens_are_those_of_the_harness(context: str, continuation: str, adds_bos: bool) -> None:
    from trialist.models.harness.tokens import Tokens

    hf = RECORDERS.get(adds_bos) or RECORDERS.setdefault(adds_bos, recorder(adds_bos))
    ((head, rest),) = ask(hf, "loglikelihood", (context, continuation))
    tokens = Tokens.of(hf.tokenizer)
    if not (head and rest):
        with pytest.raises(ModelError, match="without tokens"):
            tokens.pairs([(context, continuation)])
        return
    (pair,) = tokens.pairs([(context, continuation)])
    assert (list(pair.context), list(pair.targets)) == (list(head), list(rest))


def test_a_context_is_tokenised_once() -> None:
    from trialist.models.harness.tokens import Tokens

    class Counting:
        bos_token, bos_token_id, eos_token_id = "<s>", 0, 1

        def __init__(self) -> None:
            self.texts: list[str] = []

        def decode(self, _: int) -> str:
            return "<s>"

        def __call__(self, texts: list[str], **_: Any) -> dict[str, Any]:
            self.texts += texts
            return {"input_ids": [list(text.encode()) for text in texts]}

    tokenizer = Counting()
    Tokens.of(tokenizer).pairs([("header question", option) for option in (" a", " b", " c", " a")])
    assert sorted(tokenizer.texts) == ["header question", *(f"header question {o}" for o in "abc")]


def test_answers_go_to_the_harness_cache(llama: Path, tmp_path: Path) -> None:
    from lm_eval.api.model import CachingLM

    lm = ours(llama)
    cached = CachingLM(lm, str(tmp_path / "cache.db"))
    from lm_eval.api.instance import Instance

    asked = {
        "loglikelihood": [("The thing", " is"), ("The thing", " the")],
        "loglikelihood_rolling": [("the abbey",)],
        "generate_until": [("The thing", {"until": ["\n"], "max_gen_toks": 3})],
    }
    requests = {kind: [Instance(kind, {}, args, 0) for args in rows] for kind, rows in asked.items()}
    for kind in asked:
        getattr(lm, kind)(requests[kind])  # the hook alone fills the cache
    kept = len(cached.dbdict)
    assert kept == 4
    first = {kind: getattr(lm, kind)(rows) for kind, rows in requests.items()}
    lm.model = None  # what comes now comes from the cache
    assert {kind: getattr(cached, kind)(rows) for kind, rows in requests.items()} == first
    cached.dbdict.close()


def test_groups_and_progress_leave_answers_as_they_are(
    llama: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from trialist.models.harness import model

    lm = ours(llama)
    pairs = [(f"The thing {i}", end) for i in range(4) for end in (" the", " is")]
    whole = ask(lm, "loglikelihood", *pairs)
    assert "Running" not in capsys.readouterr().err
    monkeypatch.setattr(model, "AT_ONCE", 3)
    for a, b in zip(ask(lm, "loglikelihood", *pairs), whole, strict=True):
        assert_same_answer(a, b)
    from lm_eval.api.instance import Instance

    lm.loglikelihood([Instance("loglikelihood", {}, args, 0) for args in pairs])
    assert "8/8" in capsys.readouterr().err


def test_what_is_not_supported_is_refused_by_name(llama: Path) -> None:
    lm = ours(llama)
    for extra in ({"top_p": 0.9}, {"num_beams": 4}, {"typical_p": 0.2}):
        with pytest.raises(ModelError, match=next(iter(extra))) as caught:
            ask(lm, "generate_until", ("The", {"until": ["\n"], "max_gen_toks": 3, **extra}))
        assert "temperature" in caught.value.problems[0].allowed
    plain = {"until": ["\n"], "max_gen_toks": 3}
    neutral = {**plain, "num_beams": 1, "top_p": 1.0}
    assert ask(lm, "generate_until", ("The", neutral)) == ask(lm, "generate_until", ("The", plain))
    with pytest.raises(ModelError, match="without a temperature"):
        ask(lm, "generate_until", ("The", {"do_sample": True}))
    with pytest.raises(ModelError, match="no room"):
        ask(lm, "generate_until", ("The", {"max_gen_toks": 128}))
    with pytest.raises(ModelError, match="longer than the context"):
        ask(lm, "loglikelihood", ("The", "x" * 200))


def test_special_tokens_are_no_text(llama: Path) -> None:
    lm, hf = ours(llama), theirs(llama)
    tokens = (0, 60, 2, 61, 0)
    text = lm._text(tokens)
    assert text == hf.tok_decode(list(tokens))
    assert len(text) == 2


def test_generation_arguments_are_read() -> None:
    from trialist.models.harness.generation import Options, read_options

    assert read_options({}, "</s>") == Options(256, ("</s>",), 0.0)
    assert read_options({"until": "a", "max_new_tokens": 7, "temperature": 0.5}, None) == Options(7, ("a",), 0.5)
    greedy = read_options({"until": ["a", "</s>"], "do_sample": False, "temperature": 1}, "</s>")
    assert greedy == Options(256, ("a", "</s>"), 0.0)
    assert read_options({"do_sample": True, "temperature": 0.7}, None).temperature == 0.7


def test_model_arguments_are_checked(llama: Path) -> None:
    with pytest.raises(ModelError) as caught:
        ours(llama, max_lenght=5, add_bos_token="perhaps")
    text = str(caught.value)
    assert "did you mean 'max_length'?" in text
    assert "'perhaps'" in text
    for wrong in ({"max_length": 0}, {"prefix_token_id": -1}, {"max_length": 129}, {"dtype": "int3"}):
        with pytest.raises(ModelError):
            ours(llama, **wrong)
    assert ours(llama, max_length=20, batch_size="auto").max_length == 20


@pytest.mark.parametrize(
    ("asked", "own", "named", "length"),
    [
        (None, 64, 10**30, 64),
        (32, 64, 10**30, 32),
        (None, None, 10**30, 2048),
        (None, None, 512, 512),
        (7, None, 512, 7),
    ],
)
def test_the_context_is_the_shorter_one_asked_for(asked: int | None, own: int | None, named: int, length: int) -> None:
    from types import SimpleNamespace

    from trialist.models.harness.model import _max_length

    assert _max_length(asked, own, SimpleNamespace(model_max_length=named)) == length


def test_chat_templates_are_the_folders(tmp_path: Path, gpt2: Path) -> None:
    folder = write_model(tmp_path / "chat", adds_bos=True)
    template = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "[{{ m.role }}] {{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    (folder / "chat_template.jinja").write_text(template)
    lm, hf = ours(folder), theirs(folder)
    user = {"role": "user", "content": "What is the abbey?"}
    half = {"role": "assistant", "content": "The abbey is"}
    histories = [([user], True), ([user, half], False), ([{"role": "system", "content": "Be brief."}, user], True)]
    for history, opens in histories:
        assert lm.apply_chat_template(history, opens) == hf.apply_chat_template(history, opens)
    assert lm.chat_template(True) == hf.chat_template(True) == template
    assert lm.chat_template(False) is None
    with pytest.raises(ModelError, match="by name"):
        lm.chat_template("tool_use")
    with pytest.raises(ModelError, match="no chat template"):
        ours(gpt2).apply_chat_template([user])


def test_a_chosen_precision_is_named(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trialist.models.local import precision

    monkeypatch.setattr(precision, "is_close", lambda values, exact: True)
    for able, dtype in ((False, "float32"), (True, "bfloat16")):
        monkeypatch.setattr(precision, "has_instructions", lambda able=able: able)
        assert ours(llama, dtype="auto").get_model_info()["model_dtype"] == dtype


def test_results_name_the_model(llama: Path, tasks: Path) -> None:
    lm = ours(llama)
    config = evaluate(lm, tasks, ["tiny_choices"])["config"]
    assert config["model_digest"] == lm.model.digest
    assert config["model_dtype"] == "float32"


def test_registered_once_however_often(llama: Path) -> None:
    from lm_eval.api.registry import get_model

    from trialist.models import harness

    for _ in range(2):
        harness.register()
        assert get_model("trialist") is harness.TrialistLM
    lm = get_model("trialist").create_from_arg_string(f"pretrained={llama},dtype=float32", {"batch_size": 1})
    assert lm.settings.dtype == "float32"


def test_without_the_harness_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from trialist.models import harness

    monkeypatch.delitem(sys.modules, "trialist.models.harness._outside", raising=False)
    monkeypatch.delattr(harness, "_outside", raising=False)
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(MissingExtra, match="lm_eval") as caught:
        harness.register()
    assert "[lm-eval]" in caught.value.problems[0].next_step


def test_importing_loads_nothing_heavy() -> None:
    code = "import sys, trialist.models.harness, trialist.cli.app, trialist.cli.lm_eval_command as _;"
    code += "print([m for m in ('torch', 'lm_eval', 'transformers', 'datasets') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)})
    assert done.stdout.strip() == "[]", done.stderr
