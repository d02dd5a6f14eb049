//! Story tests: the whole loop over simulated systems, with everything that goes wrong drawn from one seed.
//!
//! `LEASEHOLD_STORY_SEEDS=500` tells the first 500 seeds of each story, `LEASEHOLD_STORY_SEEDS=17..18` exactly seed 17.

mod answers;
mod crashes;
mod credentials;
mod decided;
mod driver;
mod faults;
mod feeds;
mod invariants;
mod jobs;
mod lanes;
mod late;
mod life;
mod lifecycle;
mod moves;
mod named;
mod oracle;
mod reasons;
mod receipts;
mod returns;
mod scene;
mod seeds;
mod sessions;
mod world;
