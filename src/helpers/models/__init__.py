"""Find, load and name a model; fetch the default one where no hub can be reached."""

from .default import cache_folder, fetch_default
from .load import config, fingerprint, load, need_device, release_memory, resolve, tokenizer, trim_heap, tune_allocator
from .quiet import quiet_transformers
