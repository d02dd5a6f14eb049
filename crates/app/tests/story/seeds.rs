//! Which seeds a story is told with, on every processor, and how a failure says how to see it again.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

fn chosen(default: u64) -> Range<u64> {
    let Ok(text) = std::env::var("LEASEHOLD_STORY_SEEDS") else { return 0..default };
    let number = |text: &str| -> u64 {
        text.trim()
            .parse()
            .unwrap_or_else(|_| panic!("LEASEHOLD_STORY_SEEDS is `500` or `17..18`, not `{text}`"))
    };
    match text.split_once("..") {
        None => 0..number(&text),
        Some((from, to)) => number(from)..number(to),
    }
}

/// Tells a story with each seed. The future is made and driven on one thread, so that its order is the seed's alone.
pub fn tell<F: Future<Output = ()>>(name: &str, default: u64, story: impl Fn(u64) -> F + Sync) {
    let range = chosen(default);
    let next = AtomicU64::new(range.start);
    let failed = AtomicBool::new(false);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let one_after_another = || {
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= range.end || failed.load(Ordering::SeqCst) {
                return;
            }
            let told = catch_unwind(AssertUnwindSafe(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("a runtime").block_on(story(seed));
            }));
            if let Err(panic) = told {
                failed.store(true, Ordering::SeqCst);
                eprintln!(
                    "\nstory {name} failed with seed {seed}; see it again with\n  LEASEHOLD_STORY_SEEDS={seed}..{} cargo test -p leasehold --test story {name}\n",
                    seed + 1
                );
                resume_unwind(panic);
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(one_after_another)).collect();
        for worker in workers {
            if let Err(panic) = worker.join() {
                resume_unwind(panic);
            }
        }
    });
}
