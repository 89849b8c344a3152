//! The names that [`globals`](super::globals) judges by; words are separated by blanks.

/// Harmless names by module.
pub(super) const HARMLESS: &[(&str, &str)] = &[
    (
        "torch",
        "Size device dtype layout memory_format Generator Tensor contiguous_format \
        channels_last channels_last_3d preserve_format strided sparse_coo sparse_csr \
        sparse_csc sparse_bsr sparse_bsc jagged per_tensor_affine per_tensor_symmetric \
        per_channel_affine per_channel_symmetric per_channel_affine_float_qparams",
    ),
    (
        "torch._utils",
        "_rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_parameter \
        _rebuild_parameter_with_state _rebuild_qtensor _rebuild_sparse_tensor \
        _rebuild_sparse_csr_tensor _rebuild_nested_tensor \
        _rebuild_meta_tensor_no_storage _rebuild_wrapper_subclass \
        _rebuild_device_tensor_from_numpy _rebuild_device_tensor_from_cpu_tensor \
        _rebuild_xla_tensor",
    ),
    (
        "torch._tensor",
        "Tensor _rebuild_from_type _rebuild_from_type_v2",
    ),
    ("torch.tensor", "Tensor _rebuild_from_type"),
    // Its bytes are a whole stream, which is looked into.
    (
        "torch.storage",
        "_load_from_bytes _TypedStorage _UntypedStorage",
    ),
    ("torch.serialization", "_get_layout"),
    (
        "torch.nn.parameter",
        "Parameter Buffer UninitializedParameter UninitializedBuffer",
    ),
    ("torch.autograd.variable", "Variable"),
    ("torch.nn.backends.thnn", "_get_thnn_function_backend"),
    ("torch.nn.parallel.data_parallel", "DataParallel"),
    (
        "torch.nested._internal.nested_tensor",
        "NestedTensor _rebuild_njt",
    ),
    ("torch._dynamo.decorators", "_DimRange"),
    (
        "torch.jit._pickle",
        "build_intlist build_doublelist build_boollist build_tensorlist \
        build_tensor_from_id restore_type_tag",
    ),
    (
        "torch.distributed.checkpoint.metadata",
        "Metadata MetadataIndex ChunkStorageMetadata TensorStorageMetadata \
        BytesStorageMetadata TensorProperties StorageMeta _MEM_FORMAT_ENCODING",
    ),
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
    (
        "torch.distributed.tensor",
        "DTensor Replicate Shard Partial",
    ),
    ("collections", "OrderedDict defaultdict Counter deque"),
    ("_codecs", "encode"),
    ("copyreg", "_reconstructor"),
    ("copy_reg", "_reconstructor"),
    ("datetime", "datetime date time timedelta timezone"),
    ("decimal", "Decimal"),
    ("fractions", "Fraction"),
    (
        "pathlib",
        "Path PurePath PosixPath WindowsPath PurePosixPath PureWindowsPath",
    ),
    (
        "pathlib._local",
        "PosixPath WindowsPath PurePosixPath PureWindowsPath",
    ),
    ("uuid", "UUID SafeUUID"),
    ("argparse", "Namespace"),
    ("types", "SimpleNamespace"),
    ("io", "BytesIO StringIO"),
    ("_io", "BytesIO StringIO"),
    // A named logger; what it writes to stays as it is.
    ("logging", "getLogger"),
    ("numpy.ma.core", "MaskedArray _mareconstruct"),
    (
        "numpy.random._pickle",
        "__randomstate_ctor __generator_ctor __bit_generator_ctor",
    ),
    ("numpy.random", "__RandomState_ctor mtrand"),
    (
        "joblib.numpy_pickle",
        "NumpyArrayWrapper NDArrayWrapper ZNDArrayWrapper",
    ),
];

/// Harmless builtins, under both of the module's names.
pub(super) const BUILTINS: &str = "set frozenset list dict tuple int float complex bool str bytes bytearray slice range \
    xrange object long unicode Ellipsis NotImplemented None basestring";

/// PyTorch's element types, those with digits in a pattern of their own.
pub(super) const DTYPES: &str = "float64 double float32 float float16 half bfloat16 long int short bool complex32 \
    chalf complex64 cfloat complex128 cdouble qint8 qint32 quint8 quint4x2 quint2x4 \
    float8_e5m2 float8_e4m3fn float8_e5m2fnuz float8_e4m3fnuz float8_e8m0fnu \
    float4_e2m1fn_x2";

/// Builtins that are not dangerous, though what they do is not known to be wanted.
pub(super) const HARMLESS_FUNCTIONS: &str = "abs sum min max round pow divmod sorted reversed enumerate zip len iter next all any \
    hash id repr ascii bin hex oct ord chr isinstance issubclass callable format print \
    map filter type super property staticmethod classmethod unichr cmp coerce getattr \
    hasattr memoryview";

/// Parts of a dotted name, and names of modules inside others, by which one leaves them.
pub(super) const WAYS_OUT: &str = "os posix nt sys subprocess builtins __builtin__ importlib ctypes socket shutil \
    pickle marshal runpy pty eval exec system popen operator";

/// Kinds in the names of PyTorch's storages and tensor types.
pub(super) const KINDS: &str = "Double Float Half Long Int Short Char Byte Bool BFloat16 ComplexDouble ComplexFloat \
    QUInt8 QInt8 QInt32 QUInt4x2 QUInt2x4 Untyped Typed";

/// What a module gives away. Modules below a listed one count too.
pub(super) const DANGEROUS: &[(&str, &str)] = &[
    (
        "runs programs",
        "os posix nt subprocess _posixsubprocess commands pty popen2 pexpect pipes \
        multiprocessing webbrowser antigravity torch.utils.collect_env \
        torch.distributed.launcher torch.multiprocessing",
    ),
    (
        "runs code",
        "code codeop runpy bdb pdb timeit trace profile cProfile doctest idlelib lib2to3 \
        pydoc test unittest venv ensurepip pip distutils setuptools site compileall \
        py_compile _interpreters _xxsubinterpreters atexit sched threading _thread \
        asyncio concurrent signal _signal marshal IPython _pyrepl _osx_support \
        _aix_support cffi numba torch.hub torch._dynamo torch._inductor \
        torch.utils.cpp_extension torch.utils.bottleneck torch.utils.model_zoo \
        torch.jit.unsupported_tensor_ops torch.fx torch.package numpy.f2py \
        numpy.distutils numpy.testing numpy.ctypeslib",
    ),
    (
        "imports code",
        "importlib _frozen_importlib _frozen_importlib_external imp _imp pkgutil \
        zipimport zipapp modulefinder",
    ),
    (
        "loads another pickle",
        "pickle _pickle cPickle dill cloudpickle joblib shelve jsonpickle \
        pandas.io.pickle torch.serialization torch.jit torch.utils._config_module \
        torch.distributed.elastic torch.utils.data.datapipes.utils.decoder \
        torch.distributed.rpc yaml ruamel",
    ),
    (
        "reads or writes files",
        "shutil tempfile filecmp fileinput linecache mmap tarfile zipfile sqlite3 \
        _sqlite3 dbm glob logging syslog io _io pathlib difflib gzip bz2 lzma",
    ),
    (
        "opens connections",
        "socket _socket ssl _ssl http httplib urllib urllib2 urllib3 requests aiohttp \
        httpx smtplib imaplib ftplib poplib telnetlib nntplib socketserver xmlrpc select \
        selectors paramiko wsgiref",
    ),
    (
        "reaches into the running program",
        "sys ctypes _ctypes gc inspect uuid platform builtins __builtin__ __builtins__",
    ),
    (
        "reaches into a scanner of pickles",
        "fickling picklescan modelscan model_unpickler saferpickle modelaudit",
    ),
];

/// Dangerous names of modules that have harmless ones too.
pub(super) const DANGEROUS_NAMES: &[(&str, &str, &str)] = &[
    ("torch", "loads another pickle", "load compile hub jit"),
    (
        "numpy",
        "loads another pickle",
        "load loads fromfile memmap",
    ),
    ("pandas", "loads another pickle", "read_pickle eval"),
    (
        "operator",
        "reaches any attribute or calls any method",
        "attrgetter itemgetter methodcaller call",
    ),
    (
        "_operator",
        "reaches any attribute or calls any method",
        "attrgetter itemgetter methodcaller call",
    ),
    (
        "functools",
        "calls what it is given",
        "reduce partialmethod",
    ),
    (
        "types",
        "makes code",
        "CodeType FunctionType LambdaType MethodType ModuleType",
    ),
    (
        "copyreg",
        "changes how pickles are read",
        "pickle constructor add_extension",
    ),
    (
        "copy_reg",
        "changes how pickles are read",
        "pickle constructor add_extension",
    ),
    (
        "_codecs",
        "changes how text is read",
        "register register_error",
    ),
    (
        "codecs",
        "reads files or changes how text is read",
        "open register register_error",
    ),
];
