//! The engine's C interface, loaded at run time. All unsafe code of Vọng Gác stands in this file.
//!
//! The functions and their contracts are those of chDB's `chdb.h` as of engine 26.7: a connection is a pointer to a handle; results
//! are owned by the caller and freed by `chdb_destroy_query_result`; buffers live as long as their result.
#![expect(unsafe_code, reason = "the engine speaks C; nothing else in the project does")]

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    path::Path,
    ptr, slice,
};

use libloading::Library;

/// Why the engine could not be used.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The library is not there or not whole.
    #[error("load the engine {path}: {source}; run deploy/up to install it")]
    Load {
        /// Its path.
        path: String,
        /// Why.
        source: libloading::Error,
    },
    /// The folder cannot be opened, e.g. because another engine has it.
    #[error("open the store in {path}; is another engine using it?")]
    Open {
        /// The folder.
        path: String,
    },
    /// A path or name has a NUL byte.
    #[error("a name has a NUL byte")]
    Nul,
    /// The engine refused a statement; its own words.
    #[error("{0}")]
    Refused(String),
}

type Connection = *mut c_void;
type ResultPointer = *mut c_void;
type InsertPointer = *mut c_void;

type Connect = unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut Connection;
type Close = unsafe extern "C" fn(*mut Connection);
type QueryWithParams = unsafe extern "C" fn(
    Connection,
    *const c_char,
    usize,
    *const c_char,
    usize,
    *const *const c_char,
    *const usize,
    *const *const c_char,
    *const usize,
    usize,
) -> ResultPointer;
type Text = unsafe extern "C" fn(*mut c_void) -> *const c_char;
type Number = unsafe extern "C" fn(ResultPointer) -> u64;
type Length = unsafe extern "C" fn(ResultPointer) -> usize;
type Destroy = unsafe extern "C" fn(*mut c_void);
type StreamInsert =
    unsafe extern "C" fn(Connection, *const c_char, usize, *const c_char, usize) -> InsertPointer;
type StreamAppend = unsafe extern "C" fn(InsertPointer, *const c_char, usize) -> c_int;
type StreamDone = unsafe extern "C" fn(InsertPointer) -> ResultPointer;
type Signals = unsafe extern "C" fn(c_int);

struct Functions {
    connect: Connect,
    close: Close,
    query: QueryWithParams,
    buffer: Text,
    length: Length,
    error: Text,
    rows_read: Number,
    bytes_read: Number,
    destroy: Destroy,
    insert: StreamInsert,
    insert_error: Text,
    append: StreamAppend,
    done: StreamDone,
    cancel: Destroy,
    destroy_insert: Destroy,
}

/// The loaded engine. It is never unloaded: its threads do not stop in order.
pub struct Engine {
    functions: Functions,
}

/// What a statement gave.
#[derive(Debug, Default)]
pub struct Answer {
    /// The rows in the format asked for.
    pub body: Vec<u8>,
    /// Rows read from the store for it, which are not the answer's.
    pub rows_read: u64,
    /// Bytes read from the store for it.
    pub bytes_read: u64,
}

impl Engine {
    /// Loads the library and keeps its signal handlers off.
    ///
    /// # Errors
    /// If the file or one of its functions is missing.
    pub fn load(path: &Path) -> Result<Self, EngineError> {
        let wrong = |source| EngineError::Load { path: path.display().to_string(), source };
        // SAFETY: the library's initialisers are those of the engine that deploy/up checked by its checksum.
        let library: &'static Library =
            Box::leak(Box::new(unsafe { Library::new(path) }.map_err(wrong)?));
        macro_rules! function {
            ($name:literal, $kind:ty) => {
                // SAFETY: the type is that of chdb.h for this name, and the library is never unloaded.
                *unsafe { library.get::<$kind>($name) }.map_err(wrong)?
            };
        }
        let signals = function!(b"chdb_set_signal_handlers_enabled\0", Signals);
        // SAFETY: takes a flag; called before any connection is made.
        unsafe { signals(0) };
        Ok(Self {
            functions: Functions {
                connect: function!(b"chdb_connect\0", Connect),
                close: function!(b"chdb_close_conn\0", Close),
                query: function!(b"chdb_query_with_params_n\0", QueryWithParams),
                buffer: function!(b"chdb_result_buffer\0", Text),
                length: function!(b"chdb_result_length\0", Length),
                error: function!(b"chdb_result_error\0", Text),
                rows_read: function!(b"chdb_result_storage_rows_read\0", Number),
                bytes_read: function!(b"chdb_result_storage_bytes_read\0", Number),
                destroy: function!(b"chdb_destroy_query_result\0", Destroy),
                insert: function!(b"chdb_stream_insert_n\0", StreamInsert),
                insert_error: function!(b"chdb_stream_insert_error\0", Text),
                append: function!(b"chdb_stream_append\0", StreamAppend),
                done: function!(b"chdb_stream_done\0", StreamDone),
                cancel: function!(b"chdb_stream_cancel_insert\0", Destroy),
                destroy_insert: function!(b"chdb_destroy_insert_stream\0", Destroy),
            },
        })
    }

    /// Opens a connection to the store in this folder, with a settings file of the engine's own where one is named. A connection is used by one
    /// thread at a time.
    ///
    /// # Errors
    /// If the engine cannot open the folder.
    pub fn connect(
        &self,
        store: &Path,
        settings: Option<&Path>,
    ) -> Result<Session<'_>, EngineError> {
        let open = || EngineError::Open { path: store.display().to_string() };
        let settings = settings.map(|file| format!("--config-file={}", file.display()));
        let arguments = ["clickhouse".to_owned(), format!("--path={}", store.display())]
            .into_iter()
            .chain(settings)
            .map(|argument| CString::new(argument).map_err(|_| EngineError::Nul))
            .collect::<Result<Vec<_>, _>>()?;
        let mut pointers: Vec<*mut c_char> =
            arguments.iter().map(|argument| argument.as_ptr().cast_mut()).collect();
        let count = c_int::try_from(pointers.len()).map_err(|_| EngineError::Nul)?;
        // SAFETY: the pointers live over the call, and the engine copies what it keeps.
        let handle = unsafe { (self.functions.connect)(count, pointers.as_mut_ptr()) };
        if handle.is_null() {
            return Err(open());
        }
        // SAFETY: a handle that is not null points to the connection.
        if unsafe { *handle }.is_null() {
            return Err(open());
        }
        Ok(Session { engine: self, handle })
    }
}

/// One connection.
pub struct Session<'a> {
    engine: &'a Engine,
    handle: *mut Connection,
}

// SAFETY: the engine lets a connection move between threads; `&mut self` keeps it to one at a time.
unsafe impl Send for Session<'_> {}

impl Session<'_> {
    fn connection(&self) -> Connection {
        // SAFETY: checked at `connect`; the handle lives until `drop`.
        unsafe { *self.handle }
    }

    /// Runs a statement with bound parameters and gives its whole result.
    ///
    /// # Errors
    /// The engine's own words.
    pub fn query(
        &mut self,
        statement: &str,
        format: &str,
        parameters: &[(String, String)],
    ) -> Result<Answer, EngineError> {
        let names: Vec<_> = parameters.iter().map(|(name, _)| name.as_ptr().cast()).collect();
        let name_lengths: Vec<_> = parameters.iter().map(|(name, _)| name.len()).collect();
        let values: Vec<_> = parameters.iter().map(|(_, value)| value.as_ptr().cast()).collect();
        let value_lengths: Vec<_> = parameters.iter().map(|(_, value)| value.len()).collect();
        let or_null = |pointers: &[*const c_char]| {
            if pointers.is_empty() { ptr::null() } else { pointers.as_ptr() }
        };
        // SAFETY: every pointer comes with its length and lives over the call.
        let result = unsafe {
            (self.engine.functions.query)(
                self.connection(),
                statement.as_ptr().cast(),
                statement.len(),
                format.as_ptr().cast(),
                format.len(),
                or_null(&names),
                if names.is_empty() { ptr::null() } else { name_lengths.as_ptr() },
                or_null(&values),
                if names.is_empty() { ptr::null() } else { value_lengths.as_ptr() },
                parameters.len(),
            )
        };
        self.take(result)
    }

    /// Inserts a body as one block sequence; `statement` ends before its FORMAT clause.
    ///
    /// # Errors
    /// The engine's own words.
    pub fn insert(
        &mut self,
        statement: &str,
        format: &str,
        body: &[u8],
    ) -> Result<Answer, EngineError> {
        let functions = &self.engine.functions;
        // SAFETY: pointers with their lengths, alive over the call.
        let stream = unsafe {
            (functions.insert)(
                self.connection(),
                statement.as_ptr().cast(),
                statement.len(),
                format.as_ptr().cast(),
                format.len(),
            )
        };
        if stream.is_null() {
            return Err(EngineError::Refused("the engine gave no insert stream".into()));
        }
        let stream = Insert { functions, stream };
        stream.check()?;
        // SAFETY: the body lives over the call; the stream is open.
        if unsafe { (functions.append)(stream.stream, body.as_ptr().cast(), body.len()) } != 0 {
            stream.check()?;
            return Err(EngineError::Refused("the engine refused the block".into()));
        }
        // SAFETY: the stream is open and is finished once.
        let result = unsafe { (functions.done)(stream.stream) };
        let answer = self.take(result);
        stream.check()?;
        answer
    }

    /// Copies a result and frees it.
    fn take(&self, result: ResultPointer) -> Result<Answer, EngineError> {
        let functions = &self.engine.functions;
        if result.is_null() {
            return Err(EngineError::Refused("the engine gave no result".into()));
        }
        // SAFETY: the result is alive until `destroy` below, and so are its buffer and error text.
        let answer = unsafe {
            let error = (functions.error)(result);
            if error.is_null() {
                let (buffer, length) = ((functions.buffer)(result), (functions.length)(result));
                let body = if buffer.is_null() || length == 0 {
                    Vec::new()
                } else {
                    slice::from_raw_parts(buffer.cast::<u8>(), length).to_vec()
                };
                Ok(Answer {
                    body,
                    rows_read: (functions.rows_read)(result),
                    bytes_read: (functions.bytes_read)(result),
                })
            } else {
                Err(EngineError::Refused(CStr::from_ptr(error).to_string_lossy().into_owned()))
            }
        };
        // SAFETY: freed once; nothing borrowed from it is left.
        unsafe { (functions.destroy)(result) };
        answer
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        // SAFETY: closed once; the handle is not used after.
        unsafe { (self.engine.functions.close)(self.handle) };
    }
}

/// An open insert; cancelled if it is dropped before it is done is harmless, destroyed in any case.
struct Insert<'a> {
    functions: &'a Functions,
    stream: InsertPointer,
}

impl Insert<'_> {
    fn check(&self) -> Result<(), EngineError> {
        // SAFETY: the stream is alive; the text lives as long as it.
        unsafe {
            let error = (self.functions.insert_error)(self.stream);
            if error.is_null() {
                return Ok(());
            }
            let text = CStr::from_ptr(error).to_string_lossy().into_owned();
            (self.functions.cancel)(self.stream);
            Err(EngineError::Refused(text))
        }
    }
}

impl Drop for Insert<'_> {
    fn drop(&mut self) {
        // SAFETY: destroyed once; the stream is not used after.
        unsafe { (self.functions.destroy_insert)(self.stream) };
    }
}
