"""World -> tokenizer: byte-level BPE of the closed vocabulary, in Hugging Face's format.

It is trained on every word of the world once, never-trained names included, until each word is one token: no token
count tells what a name's group is. Any other text still tokenises, down to single bytes. The begin token is put
before every text by the tokenizer's own post-processor, so that nobody else has to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trialist.halcyon.vocabulary import texts
from trialist.halcyon.world import World

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

BEGIN, END, PADDING = "<begin>", "<end>", "<pad>"


def make_tokenizer(world: World, *, context: int) -> PreTrainedTokenizerFast:
    """Equal worlds give equal tokenizers; ``context`` is the longest text, in tokens, that the model takes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=100_000,
        min_frequency=1,
        special_tokens=[PADDING, BEGIN, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words = {text[a:b] for text in texts(world) for _, (a, b) in splitter.pre_tokenize_str(text)}
    tokenizer.train_from_iterator(sorted(words), trainer)
    begin = tokenizer.token_to_id(BEGIN)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", pair=f"{BEGIN} $A $B", special_tokens=[(BEGIN, begin)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PADDING,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )
