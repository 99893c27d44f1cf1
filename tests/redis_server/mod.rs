//! A Redis of the test's own: on a free port, with a folder of its own, ended with the value that stands for it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How often it is looked whether it answers: a minute in all.
const LOOKS: u32 = 3000;
const PAUSE: Duration = Duration::from_millis(20);

/// A running Redis.
#[derive(Debug)]
pub(crate) struct RedisServer {
    child: Child,
    program: PathBuf,
    port: u16,
    folder: PathBuf,
    options: Vec<String>,
}

impl RedisServer {
    /// Starts one that keeps nothing on disk; `None` where none is installed, which is said, and fails where nothing may
    /// be left out.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(&["--appendonly", "no"])
    }

    /// Starts one with these options.
    pub(crate) fn start_with(options: &[&str]) -> Option<Self> {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts/redis");
        let found = Command::new(script).arg("path").stderr(Stdio::null()).output().ok()?;
        let path = String::from_utf8_lossy(&found.stdout).trim().to_owned();
        if path.is_empty() {
            let told = "no Redis is installed; `scripts/redis install` gets it";
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{told}");
            // Past the capture of the test runner, so that a passing test says it as well.
            let _ = writeln!(std::io::stderr(), "left out: {told}");
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let folder = std::env::temp_dir().join(format!("mcp-rehearsal-redis-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let program = PathBuf::from(path);
        let child = spawn(&program, port, &folder, &options);
        let server = Self { child, program, port, folder, options };
        server.wait();
        Some(server)
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Starts one that is a cluster of its own, and gives its address as one.
    pub(crate) fn start_cluster() -> Option<(Self, String)> {
        let options = ["--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1", "--appendonly", "no"];
        let server = Self::start_with(&options)?;
        let slots: Vec<String> = (0..16384).map(|slot| slot.to_string()).collect();
        let words: Vec<&str> = ["CLUSTER", "ADDSLOTS"].into_iter().chain(slots.iter().map(String::as_str)).collect();
        server.ask(&words);
        while !server.ask(&["CLUSTER", "INFO"]).contains("cluster_state:ok") {
            std::thread::sleep(PAUSE);
        }
        let url = format!("redis-cluster://127.0.0.1:{}", server.port);
        Some((server, url))
    }

    /// Ends it on the spot, as a power cut of the process would.
    pub(crate) fn kill(&mut self) {
        // SIGKILL; it may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port and folder, after it was ended.
    pub(crate) fn start_again(&mut self) {
        self.child = spawn(&self.program, self.port, &self.folder, &self.options);
        self.wait();
    }

    /// Runs a command and gives the raw answer; for what tests look at from outside.
    pub(crate) fn ask(&self, words: &[&str]) -> String {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        socket.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
        let words_told = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
        let request: String = std::iter::once(format!("*{}\r\n", words.len())).chain(words_told).collect();
        socket.write_all(request.as_bytes()).expect("it reads");
        let (mut answer, mut piece) = (Vec::new(), vec![0; 65536]);
        // One answer; it is whole when nothing more comes.
        while let Ok(count) = socket.read(&mut piece) {
            answer.extend_from_slice(&piece[..count]);
            if count == 0 || (count < piece.len() && answer.starts_with(b":") || answer.starts_with(b"+")) {
                break;
            }
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// How many keys there are.
    pub(crate) fn size(&self) -> usize {
        let answer = self.ask(&["DBSIZE"]);
        answer.trim().trim_start_matches(':').parse().expect("a number")
    }

    fn wait(&self) {
        for _ in 0..LOOKS {
            let answers = || -> std::io::Result<bool> {
                let mut socket = TcpStream::connect(("127.0.0.1", self.port))?;
                socket.set_read_timeout(Some(Duration::from_secs(1)))?;
                socket.write_all(b"PING\r\n")?;
                let mut answer = [0; 5];
                socket.read_exact(&mut answer)?;
                Ok(&answer == b"+PONG")
            };
            if answers().unwrap_or(false) {
                return;
            }
            std::thread::sleep(PAUSE);
        }
        panic!("Redis on port {} does not answer", self.port);
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn spawn(program: &PathBuf, port: u16, folder: &PathBuf, options: &Vec<String>) -> Child {
    Command::new(program)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
        .arg(folder)
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts")
}
