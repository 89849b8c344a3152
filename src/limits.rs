//! Every bound on what a file may ask of us, each with its reason.
//!
//! A bound is on what we would allocate or how long we would work, never on the size of tensor
//! data that stays on disk.

/// Bytes of a safetensors header: the limit of the official crate (`MAX_HEADER_SIZE`).
pub const SAFETENSORS_HEADER: u64 = 100_000_000;

/// Tensors in one checkpoint. Real ones stay below 600,000 (Kimi-K3 has 497,000).
pub const TENSORS: u64 = 1_000_000;

/// Dimensions of a tensor. NumPy allows 64, PyTorch has no small limit, GGUF allows 4.
pub const DIMENSIONS: usize = 64;

/// Bytes of a tensor's name: far above any real one, low enough to print.
pub const NAME: u64 = 65_536;

/// Key-value pairs in a GGUF header; real files have fewer than 200.
pub const METADATA_ENTRIES: u64 = 1_000_000;

/// Bytes of one GGUF string and elements of one GGUF array: ggml's own limit.
pub const GGUF_STRING: u64 = 1 << 30;

/// Elements of metadata arrays that one checkpoint may materialise: two vocabularies of the
/// largest models in use, and 16 MiB of numbers.
pub const METADATA_ELEMENTS: u64 = 2 << 20;

/// Bytes of keys, names and texts that one GGUF header may put into memory. Tokenizers stored
/// as JSON reach 20 MB.
pub const METADATA_TEXT: u64 = 256 << 20;

/// Bytes of a GGUF header that is written: it is held in memory. Tokenizers take up to 30 MB.
pub const GGUF_HEADER: u64 = 256 << 20;

/// Arrays inside arrays of GGUF metadata; ggml allows none.
pub const GGUF_NESTING: usize = 4;

/// Dimensions of a GGUF tensor: ggml's `GGML_MAX_DIMS`.
pub const GGUF_DIMENSIONS: u32 = 4;

/// Members of an archive.
pub const ARCHIVE_MEMBERS: u64 = 1_000_000;

/// Bytes of a zip's central directory: a million members with names of 200 bytes.
pub const CENTRAL_DIRECTORY: u64 = 256 << 20;

/// Bytes of one pickle, long byte strings (which stay on disk) not counted. A state dict of
/// 100,000 tensors takes about 20 MB.
pub const PICKLE: u64 = 1 << 30;

/// Opcodes of one pickle: 100,000 tensors take about 5 million.
pub const PICKLE_OPCODES: u64 = 50_000_000;

/// Objects that one pickle may create: 2 GiB of them at most.
pub const PICKLE_OBJECTS: usize = 32_000_000;

/// Values on the pickle machine's stack.
pub const PICKLE_STACK: usize = 1_000_000;

/// Memo entries; a hash map, because the file chooses the keys.
pub const PICKLE_MEMO: usize = 10_000_000;

/// Bytes of one line argument (GLOBAL, INST): a dotted Python name.
pub const PICKLE_LINE: usize = 64 << 10;

/// Bytes of one pickled integer: torch's magic number has 10.
pub const PICKLE_LONG: u64 = 64 << 10;

/// Streams inside byte strings inside streams (`_load_from_bytes`).
pub const PICKLE_NESTING: usize = 2;

/// Depth at which containers stop being followed.
pub const DEPTH: usize = 200;

/// Nodes of `values` (everything that is no tensor) that one checkpoint shows.
pub const VALUE_NODES: u64 = 10_000;

/// Bytes that a compressed file or member may inflate to. It goes to a temporary file, so this
/// bounds disk, not memory.
pub const INFLATED: u64 = 1 << 40;

/// How many times larger than its compressed form an inflated file may be. Deflate cannot
/// exceed 1032.
pub const INFLATE_RATIO: u64 = 1100;

/// Bytes up to which an inflated member stays in memory instead of a temporary file.
pub const INFLATED_IN_MEMORY: u64 = 1 << 20;

/// Bytes of a sparse tensor written out densely.
pub const DENSE: u64 = 16 << 30;

/// Stored elements of a sparse tensor: their positions are held in memory (24 bytes each).
pub const SPARSE_ELEMENTS: u64 = 16 << 20;

/// Bytes of all scales and zero points by channel that are held in memory while a file with
/// quantised tensors is written: 16 million channels.
pub const QUANTIZATION: u64 = 256 << 20;

/// Bytes of an index file (`*.index.json`): 500,000 entries take 60 MB.
pub const INDEX: u64 = 256 << 20;

/// Bytes of a file of rules: thousands of them.
pub const RULES: u64 = 1 << 20;

/// Faults of one file that an audit lists: more say no more.
pub const FAULTS: usize = 100;

/// Shards of one checkpoint.
pub const SHARDS: u64 = 100_000;

/// Bytes of a NumPy header: NumPy itself refuses more than 10,000.
pub const NPY_HEADER: u64 = 64 << 10;

/// Bytes read from standard input into a temporary file.
pub const STANDARD_INPUT: u64 = 1 << 40;

/// Bytes of a workflow's JSON. Real ones stay below 2 MB, with pictures pasted into notes below
/// 20.
pub const WORKFLOW: u64 = 32 << 20;

/// Values of a workflow's JSON: 100 bytes of memory each, and 200 times a large real one.
pub const WORKFLOW_VALUES: usize = 2_000_000;

/// Nodes of a workflow, those of each use of a subgraph counted.
pub const WORKFLOW_NODES: usize = 100_000;

/// Bytes of text that one picture may give, inflated.
pub const IMAGE_TEXT: u64 = WORKFLOW;

/// Chunks of a picture: 4 GB of pixels in pieces of 4 KiB.
pub const IMAGE_CHUNKS: u64 = 1_000_000;

/// Entries of the EXIF block of a picture; cameras write 100.
pub const EXIF_ENTRIES: u16 = 1_000;

/// Bytes of a YAML file: a model card's front matter or a list of folders.
pub const YAML: u64 = 1 << 20;

/// Values in a YAML file, those behind aliases counted at each use.
pub const YAML_VALUES: usize = 100_000;

/// Bytes of a tokenizer's file: the largest in use have 35 MB.
pub const TOKENIZER: u64 = 64 << 20;

/// Values of a tokenizer's JSON, 100 bytes of memory each: Gemma's 260,000 tokens and 510,000
/// merges make 1.8 million.
pub const TOKENIZER_VALUES: usize = 3_000_000;

/// Tokens of a vocabulary; the largest in use have 260,000.
pub const TOKENS: u64 = METADATA_ELEMENTS;

/// Files and folders below the folders of models that are listed.
pub const MODEL_FILES: usize = 200_000;

/// Folders inside folders of models.
pub const MODEL_FOLDER_DEPTH: usize = 16;
/// Bytes that a view of less stored data (expanded, sparse) may stand for where all of them
/// are measured: minutes of work, for which a file of a few bytes can ask.
pub const VIEW: u64 = 1 << 40;

/// Patterns of an adapter's configuration that are matched against its modules' names; each
/// is tried on every module.
pub const ADAPTER_PATTERNS: usize = 1_000;

/// Bytes of a configuration, model card or licence beside a checkpoint; real ones have 100 kB
/// at most.
pub const BESIDE: u64 = 1 << 20;
/// Bytes of gaps, trailing data and unknown files that are searched for pickles: a second of
/// work.
pub const HUNTED: u64 = 64 << 20;

/// Places in searched bytes that are looked at more closely: some seconds of work, for which a
/// file made of beginnings could ask.
pub const LOOKS: u64 = 2_000_000;

/// Bytes that are followed from there in vain: a second of work.
pub const TRACED: u64 = 8 << 20;

/// Members that no directory of a zip lists.
pub const HIDDEN_MEMBERS: usize = 10_000;

/// Archives, compressed streams and byte strings inside each other that are looked into.
pub const EXAMINED_DEPTH: usize = 8;

/// Bytes that are unpacked while one file is examined, all nested parts together.
pub const EXAMINED: u64 = 64 << 30;

/// Findings about one file; what is beyond is counted.
pub const FINDINGS: usize = 1000;

/// Elements of one factor of an adapter's change, held in memory as `f64`: eight times what the
/// widest layers in use need at rank 128.
pub const ADAPTER_MATRIX: u64 = 1 << 25;

/// Multiplications for one LoHa module, whose norm has no short way: a minute.
pub const ADAPTER_WORK: u64 = 1 << 36;

/// Sums of squares of activations: far above any real ones, and low enough for the products that
/// quantisers make of them.
pub const IMPORTANCE_SUM: f32 = 1e20;

/// Matrices in one tensor of an importance matrix: experts, of which real models have 512.
pub const IMPORTANCE_MATRICES: u64 = 1 << 20;

/// Weights of one tensor, held in memory while it is quantised: 64 MiB, six times what 384 experts
/// with 7168 columns take.
pub const IMPORTANCE_WEIGHTS: u64 = 16 << 20;
