//! Live policies: reload, last good policy, generations and counters.

use std::fs;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portcullis_c::abi::*;
use portcullis_c::*;

fn policy(secret: &str) -> String {
    format!(r#"[{{"id": "a", "token": "{secret}", "allowed_apis": ["lds"]}}]"#)
}

/// Replaces the file at once, as the documentation asks for.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

/// A live policy that several threads use. SAFETY of the calls: it is freed when it is dropped.
struct Live(*mut pcl_policy);

// SAFETY: any number of threads may use one policy at once.
unsafe impl Sync for Live {}

impl Live {
    fn open(path: &Path, poll_milliseconds: u32) -> Self {
        let (live, error) = Self::open_with(path, poll_milliseconds, 0);
        assert_eq!(error, None);
        live.unwrap()
    }

    fn open_with(path: &Path, poll_milliseconds: u32, flags: u32) -> (Option<Self>, Option<String>) {
        let options: pcl_options = unsafe { std::mem::zeroed() };
        let options = pcl_options { struct_size: size_of::<pcl_options>(), poll_milliseconds, flags, ..options };
        let (path, mut error) = (path.to_str().unwrap(), ptr::null_mut());
        let policy = unsafe { pcl_live_open(pcl_text::of(path), &raw const options, &raw mut error) };
        ((!policy.is_null()).then_some(Self(policy)), taken(error))
    }

    fn allows(&self, secret: &str) -> bool {
        let request: pcl_request = unsafe { std::mem::zeroed() };
        let request = pcl_request {
            struct_size: size_of::<pcl_request>(),
            secret: pcl_text::of(secret),
            api: pcl_text::of("lds"),
            ..request
        };
        let mut decision: pcl_decision = unsafe { std::mem::zeroed() };
        decision.struct_size = size_of::<pcl_decision>();
        unsafe { pcl_decide(self.0, &raw const request, &raw mut decision) == 1 }
    }

    fn reload(&self) -> Result<(), String> {
        let mut error = ptr::null_mut();
        let reloaded = unsafe { pcl_reload(self.0, &raw mut error) };
        taken(error).map_or(Ok(()), Err).inspect(|()| assert_eq!(reloaded, 1)).inspect_err(|_| assert_eq!(reloaded, 0))
    }

    fn generation(&self) -> u64 {
        unsafe { pcl_generation(self.0) }
    }

    fn last_error(&self) -> Option<String> {
        taken(unsafe { pcl_last_error(self.0) })
    }

    fn metrics(&self) -> String {
        taken(unsafe { pcl_metrics(self.0) }).unwrap()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        unsafe { pcl_policy_free(self.0) };
    }
}

fn taken(string: *mut pcl_string) -> Option<String> {
    let text = unsafe { pcl_string_text(string) };
    let bytes = (!text.data.is_null())
        .then(|| unsafe { std::slice::from_raw_parts(text.data.cast::<u8>(), text.length) }.to_vec());
    unsafe { pcl_string_free(string) };
    bytes.map(|bytes| String::from_utf8(bytes).unwrap())
}

fn wait(until: impl Fn() -> bool) {
    let started = Instant::now();
    while !until() {
        assert!(started.elapsed() < Duration::from_mins(1), "nothing happened");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn changed_file_applies_and_invalid_file_keeps_the_last_good_policy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.json");
    fs::write(&path, policy("first")).unwrap();
    let live = Live::open(&path, 10);
    assert!(live.allows("first") && !live.allows("second"));
    assert_eq!((live.generation(), live.last_error()), (1, None));

    replace(&path, &policy("second"));
    wait(|| live.allows("second"));
    assert!(!live.allows("first"));
    assert_eq!(live.generation(), 2);

    for broken in ["{", "", r#"[{"id": "a", "token": "second", "allowed_apis": ["lds"], "grants": 5}]"#] {
        replace(&path, broken);
        wait(|| live.last_error().is_some());
        let error = live.reload().unwrap_err();
        assert!(error.contains("policy.json") && !error.contains("second"), "{error}");
        assert!(live.allows("second"));
        assert_eq!(live.generation(), 2);
    }
    fs::remove_file(&path).unwrap();
    assert!(live.reload().unwrap_err().contains("cannot read"));
    assert!(live.allows("second"));

    replace(&path, &policy("third"));
    wait(|| live.allows("third"));
    wait(|| live.last_error().is_none());
    assert_eq!(live.generation(), 3);
    let metrics = live.metrics();
    for line in [
        "# HELP portcullis_decisions_total Decisions, by outcome and reason",
        "# TYPE portcullis_decisions_total counter",
        "# HELP portcullis_policy_stale_seconds How long the source has not been a readable and valid policy; 0 while it is",
        "portcullis_policy_generation 3",
        "portcullis_policy_reloads_total{outcome=\"reloaded\"} 2",
        "portcullis_decisions_total{outcome=\"deny\",reason=\"token_missing\"} 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
}

/// The metrics show how old the policy is, and how long its source has been failing.
#[test]
fn metrics_show_the_age_of_the_policy_and_of_a_failure() {
    let parent = tempfile::tempdir().unwrap();
    let [folder, aside] = ["folder", "aside"].map(|name| parent.path().join(name));
    fs::create_dir(&folder).unwrap();
    let path = folder.join("policy.json");
    fs::write(&path, policy("first")).unwrap();
    let live = Live::open(&path, 10);
    let seconds = |name: &str| -> u64 {
        let (metrics, start) = (live.metrics(), format!("portcullis_policy_{name}_seconds "));
        metrics.lines().find_map(|line| line.strip_prefix(&start)).unwrap().parse().unwrap()
    };
    assert!(live.allows("first"));
    assert_eq!(seconds("stale"), 0);

    // A version that is not valid stays a failure at each check.
    replace(&path, "{");
    wait(|| seconds("stale") >= 1);
    wait(|| seconds("age") >= 2);
    assert!(seconds("age") >= seconds("stale") && live.last_error().is_some());
    replace(&path, &policy("second"));
    wait(|| live.allows("second"));
    wait(|| seconds("age") < 2);
    assert_eq!(seconds("stale"), 0);

    // The active version comes back as it was, such as on a disk that was not mounted.
    fs::rename(&folder, &aside).unwrap();
    wait(|| seconds("stale") >= 1);
    fs::rename(&aside, &folder).unwrap();
    wait(|| seconds("stale") == 0);
    assert_eq!((live.last_error(), live.generation()), (None, 2));

    // A version that is not valid comes back as it was.
    replace(&path, "{");
    wait(|| live.last_error().is_some_and(|error| !error.contains("cannot read")));
    fs::rename(&folder, &aside).unwrap();
    wait(|| live.last_error().is_some_and(|error| error.contains("cannot read")));
    fs::rename(&aside, &folder).unwrap();
    // The error is that of the version, no longer that of the folder.
    wait(|| live.last_error().is_some_and(|error| error.contains("policy.json") && !error.contains("cannot read")));
    wait(|| seconds("stale") >= 1);
    assert!(live.allows("second"));
}

#[test]
fn metrics_of_a_policy_that_was_never_valid_show_no_age() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.json");
    let live = Live::open_with(&path, 10, PCL_OPEN_UNAVAILABLE).0.unwrap();
    assert!(!live.allows("first"));
    let shows = |line: &str| live.metrics().lines().any(|found| found == line);
    wait(|| !shows("portcullis_policy_stale_seconds 0"));
    assert!(shows("portcullis_policy_age_seconds 0") && shows("portcullis_policy_generation 0"));
}

/// A gateway must start, and deny, before its policy is there.
#[test]
fn policy_that_opens_without_a_valid_file_denies_until_the_file_is_valid() {
    for (content, expected) in [(None, "cannot read"), (Some("{"), "policy.json")] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.json");
        content.inspect(|content| fs::write(&path, content).unwrap());
        let (live, error) = Live::open_with(&path, 10, 0);
        assert!(live.is_none() && error.unwrap().contains(expected), "without the flag");
        let (live, error) = Live::open_with(&path, 10, PCL_OPEN_UNAVAILABLE);
        assert!(error.unwrap().contains(expected));
        let live = live.unwrap();
        assert!(!live.allows("first"));
        assert_eq!(live.generation(), 0);
        let unavailable = "portcullis_decisions_total{outcome=\"deny\",reason=\"policy_unavailable\"} 1";
        assert!(live.metrics().lines().any(|found| found == unavailable), "{}", live.metrics());
        wait(|| live.last_error().is_some_and(|error| error.contains(expected)));
        replace(&path, &policy("first"));
        wait(|| live.allows("first"));
        wait(|| live.last_error().is_none());
        assert_eq!(live.generation(), 1);
        fs::remove_file(&path).unwrap();
        wait(|| live.last_error().is_some());
        assert!(live.allows("first"), "the last good policy stays");
    }
}

/// A signal that the thread of the library receives would not wake the event loop of the host.
#[test]
#[cfg(target_os = "linux")]
fn thread_receives_no_signals_and_the_mask_of_the_caller_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.json");
    fs::write(&path, policy("first")).unwrap();
    let blocked = |status: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    };
    let own = || blocked(&fs::read_to_string("/proc/thread-self/status").unwrap());
    let before = own();
    let live = Live::open(&path, 10);
    assert!(live.allows("first"));
    assert_eq!(own(), before);
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path().join("status"));
    // Threads of other tests may end meanwhile.
    let started: Vec<_> = tasks.filter_map(|task| fs::read_to_string(task).ok()).collect();
    let started: Vec<_> = started.iter().filter(|status| status.starts_with("Name:\tpcl-policy\n")).collect();
    assert!(!started.is_empty());
    // SIGTERM is signal 15: bit 14.
    assert!(started.iter().all(|status| blocked(status) & (1 << 14) != 0), "{started:?}");
}

/// A large file that stays broken must not keep a processor busy.
#[test]
fn version_that_is_not_valid_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.json");
    fs::write(&path, policy("first")).unwrap();
    let live = Live::open(&path, 1);
    let failed = |count: u32| {
        let expected = format!("portcullis_policy_reloads_total{{outcome=\"failed\"}} {count}");
        live.metrics().lines().any(|found| found == expected)
    };
    assert!(failed(0));
    replace(&path, "{");
    wait(|| !failed(0));
    // Many checks of the file.
    std::thread::sleep(Duration::from_millis(300));
    assert!(failed(1), "{}", live.metrics());
    assert!(live.last_error().is_some() && live.allows("first"));
}

#[test]
fn reload_applies_before_it_returns_and_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.json");
    fs::write(&path, policy("first")).unwrap();
    // No poll during the test.
    let live = Live::open(&path, u32::MAX);
    assert!(live.allows("first"));
    fs::write(&path, policy("second")).unwrap();
    live.reload().unwrap();
    assert!(live.allows("second") && !live.allows("first"));
    // The thread may have read the change in its first check.
    assert!(live.generation() >= 2);
    let metrics = live.metrics();
    for line in [
        "portcullis_decisions_total{outcome=\"allow\",reason=\"\"} 2",
        "portcullis_decisions_total{outcome=\"deny\",reason=\"token_unknown\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
    let document = policy("s");
    let fixed = unsafe { pcl_open_bytes(pcl_text::of(&document), ptr::null(), ptr::null_mut()) };
    let fixed = Live(fixed);
    assert!(fixed.reload().unwrap_err().contains("`pcl_live_open`"));
}

/// Every version of the policy allows one secret and denies the other.
#[test]
fn sixteen_threads_decide_while_the_policy_is_swapped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.json");
    fs::write(&path, policy("both")).unwrap();
    let (live, is_over) = (Live::open(&path, u32::MAX), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    assert!(live.allows("both") && !live.allows("none"));
                }
            });
        }
        for round in 0..20 {
            let other = format!(r#"[{{"id": "b{round}", "token": "both", "allowed_apis": ["lds"]}}]"#);
            replace(&path, &other);
            live.reload().unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(live.generation() >= 21);
}

#[cfg(unix)]
#[test]
fn pipe_swapped_in_between_check_and_open_does_not_block() {
    let folder = tempfile::tempdir().unwrap();
    let [file, good, pipe, next] = ["policy.json", "good", "pipe", "next"].map(|name| folder.path().join(name));
    fs::write(&file, policy("one")).unwrap();
    fs::write(&good, policy("one")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let live = Live::open(&file, 10);
    std::thread::scope(|scope| {
        let swapping = scope.spawn(|| {
            let started = Instant::now();
            while started.elapsed() < Duration::from_secs(4) {
                for file_or_pipe in [&pipe, &good] {
                    fs::hard_link(file_or_pipe, &next).unwrap();
                    fs::rename(&next, &file).unwrap();
                }
            }
            replace(&file, &policy("two"));
        });
        while !swapping.is_finished() {
            // Most of these fail; none may wait for a writer of the pipe.
            let _ = live.reload();
        }
    });
    wait(|| live.allows("two"));
    assert!(!live.allows("one"));
}
