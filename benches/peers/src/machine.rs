//! Describes the properties of the machine that affect results, without a name of the machine.

use std::fs::read_to_string;

/// Returns the processor and its cores, the caches, the instructions that matter, and the memory: one line for each.
pub fn describe() -> Vec<String> {
    let processor = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = processor.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':'))
            .map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().into())
    };
    let cores = processor.lines().filter(|line| line.starts_with("processor")).count();
    let flags = field("flags");
    let has =
        |flag: &str| if flags.split(' ').any(|found| found == flag) { flag.to_owned() } else { format!("no {flag}") };
    let virtual_machine = if flags.contains("hypervisor") { ", a virtual machine" } else { "" };
    let memory = read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes: u64 =
        memory.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse().ok()).unwrap_or_default();
    let cache =
        |level: &str| read_to_string(format!("/sys/devices/system/cpu/cpu0/cache/{level}/size")).unwrap_or_default();
    vec![
        format!(
            "{} (family {}, model {}), {cores} cores{virtual_machine}",
            field("model name"),
            field("cpu family"),
            field("model")
        ),
        format!("L1d {}, L2 {}, L3 {}", cache("index0").trim(), cache("index2").trim(), cache("index3").trim()),
        format!("{}, {}, {}", has("sha_ni"), has("avx2"), has("avx512bw")),
        format!("{} GiB of memory", (kilobytes + (1 << 19)) >> 20),
    ]
}

/// Returns a short name for the file of the record: the name of the processor in lower case, and the number of cores.
pub fn slug() -> String {
    let words = describe().first().cloned().unwrap_or_default().to_lowercase();
    let words: String = words.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { ' ' }).collect();
    let words: Vec<&str> = words.split_whitespace().take_while(|word| *word != "family").collect();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("{}-{cores}-cores", words.join("-"))
}
