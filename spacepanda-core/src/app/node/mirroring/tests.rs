use tempfile::TempDir;
use tokio::time::advance;

use super::*;

const DEVICE: DeviceId = DeviceId::new([1; 32]);

fn mirroring(folder: &TempDir) -> Mirroring {
    Mirroring::new(Some(folder.path().to_owned()))
}

fn held(folder: &TempDir) -> Option<Mirror> {
    Place::new(folder.path(), &DEVICE).read().unwrap()
}

/// A mirror of a store with `generation` batches, begun and written once.
async fn begun(folder: &TempDir, generation: u64) -> Mirroring {
    let mut mirroring = mirroring(folder);
    mirroring.find(&DEVICE, generation);
    mirroring.begin().unwrap();
    writes(folder, generation).await;
    mirroring
}

async fn writes(folder: &TempDir, generation: u64) {
    while held(folder).is_none_or(|mirror| mirror.generation != generation) {
        advance(Duration::from_millis(100)).await;
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_is_judged_by_its_mirror() {
    let folder = tempfile::tempdir().unwrap();
    let find = |stored| mirroring(&folder).find(&DEVICE, stored).0;
    assert_eq!((find(0), find(1)), (Finding::Agrees, Finding::Unknown));
    begun(&folder, 7).await.finish().await;
    assert_eq!([6, 7, 8].map(find), [Finding::Ahead, Finding::Agrees, Finding::Agrees]);
    let of_another = mirroring(&folder).find(&DeviceId::new([2; 32]), 7).0;
    assert_eq!(of_another, Finding::Unknown);
    assert_eq!(Mirroring::new(None).find(&DEVICE, 7), (Finding::Unknown, None));
}

#[tokio::test(start_paused = true)]
async fn a_mirror_lags_by_a_second_and_is_brought_up_when_the_node_closes() {
    let folder = tempfile::tempdir().unwrap();
    let mut mirroring = begun(&folder, 1).await;
    mirroring.saved(2);
    mirroring.saved(3);
    advance(PERIOD / 2).await;
    assert_eq!(held(&folder).unwrap().generation, 1);
    writes(&folder, 3).await;
    mirroring.saved(4);
    mirroring.finish().await;
    assert_eq!(held(&folder).unwrap().generation, 4);
}

#[tokio::test(start_paused = true)]
async fn two_runs_of_one_device_both_find_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let mut one = begun(&folder, 1).await;
    let mut two = begun(&folder, 2).await;
    assert!(matches!(one.next().await, Heard::Shared));
    two.saved(3);
    assert!(matches!(two.next().await, Heard::Shared));
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_older_than_the_mirror_leaves_a_mark_and_the_generation() {
    let folder = tempfile::tempdir().unwrap();
    let mut one = begun(&folder, 9).await;
    let mut copy = mirroring(&folder);
    assert_eq!(copy.find(&DEVICE, 5).0, Finding::Ahead);
    copy.mark().unwrap();
    assert_eq!(held(&folder).unwrap().generation, 9);
    assert!(matches!(one.next().await, Heard::Shared));
}

#[tokio::test(start_paused = true)]
async fn a_mirror_that_is_torn_counts_as_none_is_told_and_is_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    begun(&folder, 1).await.finish().await;
    let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&file, "spacepanda-mir").unwrap();
    let mut mirroring = mirroring(&folder);
    let (finding, failed) = mirroring.find(&DEVICE, 1);
    assert_eq!(finding, Finding::Unknown);
    assert!(failed.unwrap().contains("damaged"));
    mirroring.begin().unwrap();
    mirroring.finish().await;
    assert_eq!(held(&folder).unwrap().generation, 1);
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_cannot_be_written_is_told_of_once_and_stops_nothing() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut mirroring = Mirroring::new(Some(file.path().to_owned()));
    let (finding, failed) = mirroring.find(&DEVICE, 3);
    assert_eq!(finding, Finding::Unknown);
    assert!(failed.is_some());
    mirroring.begin().unwrap();
    assert!(matches!(mirroring.next().await, Heard::Failed(_)));
    mirroring.saved(4);
    assert!(timeout(LOOK * 3, mirroring.next()).await.is_err());
    mirroring.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_opened_again_is_judged_as_before_until_that_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut mirroring = mirroring(&folder);
    assert_eq!(mirroring.find(&DEVICE, 3).0, Finding::Unknown);
    assert_eq!(mirroring.find(&DEVICE, 3).0, Finding::Unknown);
    mirroring.begin().unwrap();
    assert_eq!(mirroring.find(&DEVICE, 3).0, Finding::Agrees);
}

#[tokio::test(start_paused = true)]
async fn another_run_is_found_again_until_the_device_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let mut one = begun(&folder, 1).await;
    let _two = begun(&folder, 2).await;
    assert!(matches!(one.next().await, Heard::Shared));
    assert_eq!(one.find(&DEVICE, 1).0, Finding::Shared);
    assert_eq!(one.find(&DEVICE, 1).0, Finding::Shared);
    let renewed = DeviceId::new([2; 32]);
    one.renew(&renewed).unwrap();
    assert_eq!(one.find(&renewed, 1).0, Finding::Agrees);
}
