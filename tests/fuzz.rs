//! `fuzz` as a whole: planted faults are found, shrunk, and written as scenarios that `run` replays; the correct server is
//! not accused. All faults are for `scripts/fuzz-faults`, long runs for `scripts/fuzz-clean`.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn program(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mcp-rehearsal")).args(arguments).output().expect("it starts")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A folder of this test alone.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("mcp-rehearsal-fuzz-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn fuzz(fault: &str, folder: &Path) -> Output {
    let folder = folder.display().to_string();
    program(&["fuzz", "--quiet", "--seed", "1", "--by", "in-process", "--fault", fault, "--write", &folder])
}

/// The only file in a folder.
fn written(folder: &Path) -> String {
    let mut files = std::fs::read_dir(folder).expect("readable").flatten();
    files.next().expect("a scenario was written").path().display().to_string()
}

#[test]
fn planted_faults_are_found_shrunk_and_replayed() {
    for (fault, invariant) in [
        ("as.code-race", "auth.authorization.code-one-time"),
        ("as.refresh-narrows", "auth.token.refresh-scope-default"),
        ("rs.expired-served-a-minute", "auth.resource-server.expiry-enforced"),
        ("session.delete-ignored", "transport.http.session-404-after-termination"),
    ] {
        let folder = folder(fault);
        let found = fuzz(fault, &folder);
        let story = text(&found);
        assert_eq!(found.status.code(), Some(10), "{fault}: {story}");
        assert!(story.starts_with(&format!("✗ {invariant}")), "{fault}: {story}");
        let left = story.split(" to ").find_map(|rest| rest.split('.').next()?.parse::<usize>().ok());
        assert!(left.is_some_and(|left| (1..=6).contains(&left)), "{fault}: {story}");
        let scenario = written(&folder);
        let with = program(&["run", "--quiet", "--fault", fault, "-s", &scenario]);
        assert_eq!(with.status.code(), Some(10), "{fault}: {}", text(&with));
        assert!(text(&with).contains(invariant), "{fault}: {}", text(&with));
        let without = program(&["run", "--quiet", "-s", &scenario]);
        assert_eq!(without.status.code(), Some(0), "{fault}: {}", text(&without));
        std::fs::remove_dir_all(folder).expect("it can be removed");
    }
}

#[test]
fn the_correct_server_is_not_accused() {
    for way in ["loopback", "in-process"] {
        let folder = folder(way);
        let place = folder.display().to_string();
        let found =
            program(&["fuzz", "--quiet", "--seed", "7", "--ops", "2500", "--by", way, "--coverage", "--write", &place]);
        assert_eq!(found.status.code(), Some(0), "{way}: {}", text(&found));
        // A campaign that never refreshes or replays would find nothing either.
        for seen in ["within the grace", "refresh token from before", "used code", "session of another user"] {
            assert!(text(&found).contains(seen), "{way}: {seen} was not seen\n{}", text(&found));
        }
        assert_eq!(std::fs::read_dir(&folder).expect("readable").count(), 0);
        std::fs::remove_dir_all(folder).expect("it can be removed");
    }
}

#[test]
fn what_is_excepted_is_passed_over_and_what_stands_behind_it_found() {
    let folder = folder("except");
    let place = folder.display().to_string();
    let found = program(&[
        "fuzz",
        "--quiet",
        "--seed",
        "1",
        "--cases",
        "300",
        "--by",
        "in-process",
        "--write",
        &place,
        "--fault",
        "session.delete-ignored",
        "--fault",
        "as.refresh-narrows",
        "--except",
        "transport.http.session-404-after-termination,transport.http.session-delete-effective",
    ]);
    assert_eq!(found.status.code(), Some(10), "{}", text(&found));
    assert!(text(&found).contains("which was excepted"), "{}", text(&found));
    assert!(text(&found).contains("✗ auth.token.refresh-scope-default"), "{}", text(&found));
    std::fs::remove_dir_all(folder).expect("it can be removed");
}

/// A server whose tokens live for seconds, as one of somebody else's: the fuzzer waits for their end.
#[test]
fn the_end_of_a_token_is_waited_for_where_no_clock_can_be_moved() {
    let folder = folder("short");
    let place = folder.display().to_string();
    let mut server = Command::new(env!("CARGO_BIN_EXE_mcp-rehearsal"))
        .args(["serve", "--listen", "127.0.0.1:0", "--auth", "oauth", "--access-ttl", "4s"])
        .args(["--fault", "rs.expired-served"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let said = BufReader::new(server.stdout.take().expect("its output")).lines();
    let url = said.map_while(Result::ok).find_map(|line| Some(line.strip_prefix("serving ")?.trim().to_owned()));
    let url = url.expect("it says where");
    let mut arguments: Vec<&str> =
        "fuzz --quiet --leeway 0s --cases 64 --length 4 --jobs 32 --weight time=60 --weight call=60 --write"
            .split(' ')
            .collect();
    arguments.extend([place.as_str(), url.as_str()]);
    // Which of two rules a request breaks that two of them refuse is not what this is about.
    arguments
        .extend(["together=0", "exchange=0", "refresh=0", "revoke=0"].into_iter().flat_map(|kind| ["--weight", kind]));
    let found = program(&arguments);
    server.kill().and_then(|()| server.wait()).expect("it ends");
    assert_eq!(found.status.code(), Some(10), "{}", text(&found));
    assert!(text(&found).contains("✗ auth.resource-server.expiry-enforced"), "{}", text(&found));
    std::fs::remove_dir_all(folder).expect("it can be removed");
}

#[test]
fn a_seed_makes_the_same_lifecycles() {
    let folder = folder("seed");
    let story = || text(&fuzz("as.refresh-reuse-accepted", &folder));
    assert_eq!(story(), story());
    std::fs::remove_dir_all(folder).expect("it can be removed");
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (arguments, told) in [
        (["fuzz", "--weight", "refesh=3"], "there are register, "),
        (["fuzz", "--fault", "as.no-such-fault"], "no fault is called"),
        (["fuzz", "--time", "soon"], "no duration"),
        (["fuzz", "--except", "auth.no-such-rule"], "no rule of the fuzzer is called"),
    ] {
        let output = program(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(told), "{arguments:?}");
    }
}
