//! A bounded queue to one thread that does all that waits for it at once: a group commit.

use std::{
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    time::Duration,
};

use stead_kernel::{Error, Result};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::Instant,
};

/// How many rows may wait; who comes then waits for a place.
const CAPACITY: usize = 20_000;
/// After how many rows a batch is committed without waiting for more.
const BATCH: usize = 1_000;
/// Under load, at least so much time lies between the beginnings of two batches; a lone write never waits.
const LINGER: Duration = Duration::from_millis(5);
/// How long a write waits for a place in the queue.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the thread does.
pub(crate) trait Engine: Send + 'static {
    /// One piece of work.
    type Work: Send + 'static;
    /// What comes of it.
    type Answer: Send + 'static;

    /// Does a batch; returns as many answers, in the same order.
    fn run(&mut self, batch: Vec<Self::Work>) -> Vec<Result<Self::Answer>>;

    /// Ends orderly.
    fn close(self);
}

struct Job<E: Engine> {
    work: E::Work,
    rows: usize,
    /// Nobody, for work that was posted.
    reply: Option<oneshot::Sender<Result<E::Answer>>>,
    place: OwnedSemaphorePermit,
}

enum Message<E: Engine> {
    Do(Job<E>),
    Close(oneshot::Sender<()>),
}

/// The way to the thread. The thread ends when this is dropped or closed.
pub(crate) struct Queue<E: Engine> {
    sender: Sender<Message<E>>,
    places: Arc<Semaphore>,
}

impl<E: Engine> Queue<E> {
    /// Starts the thread.
    pub(crate) fn start(name: &str, engine: E) -> Result<Self> {
        let (sender, receiver) = mpsc::channel();
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(engine, &receiver))
            .map_err(|error| Error::unavailable(format!("no thread for {name}")).because(error))?;
        Ok(Self {
            sender,
            places: Arc::new(Semaphore::new(CAPACITY)),
        })
    }

    /// Waits for a place in the queue, then for the answer. `rows` is the weight of the work.
    pub(crate) async fn submit(&self, work: E::Work, rows: usize) -> Result<E::Answer> {
        let places = u32::try_from(rows.clamp(1, CAPACITY)).unwrap_or(1);
        let waiting = Arc::clone(&self.places).acquire_many_owned(places);
        let Ok(place) = tokio::time::timeout(PATIENCE, waiting).await else {
            return Err(
                Error::unavailable(format!("the store is busy: {CAPACITY} rows wait for the disk"))
                    .retry_after(Duration::from_secs(1)),
            );
        };
        let (reply, answer) = oneshot::channel();
        let job = Job {
            work,
            rows,
            reply: Some(reply),
            place: place.map_err(|_| closed())?,
        };
        self.sender.send(Message::Do(job)).map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Leaves work that nobody waits for; it is forgotten when the queue is full.
    pub(crate) fn post(&self, work: E::Work) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return;
        };
        let job = Job {
            work,
            rows: 1,
            reply: None,
            place,
        };
        // A closed queue needs nothing done any more.
        self.sender.send(Message::Do(job)).ok();
    }

    /// How many rows wait.
    pub(crate) fn depth(&self) -> usize {
        CAPACITY - self.places.available_permits()
    }

    /// Does what waits, then ends the thread; later work is refused.
    pub(crate) async fn close(&self) {
        let (done, ended) = oneshot::channel();
        if self.sender.send(Message::Close(done)).is_ok() {
            // An error means that the thread has ended, which is what was asked for.
            ended.await.ok();
        }
    }
}

fn closed() -> Error {
    Error::unavailable("the store is closed").hint("the server is stopping; try again when it runs")
}

fn run<E: Engine>(mut engine: E, receiver: &Receiver<Message<E>>) {
    let mut earliest = Instant::now();
    loop {
        let (batch, end) = collect(receiver, earliest);
        earliest = Instant::now() + LINGER;
        answer(&mut engine, batch);
        match end {
            End::None => {}
            End::Closed(done) => {
                engine.close();
                done.send(()).ok();
                return;
            }
            End::Abandoned => return engine.close(),
        }
    }
}

enum End {
    None,
    Closed(oneshot::Sender<()>),
    Abandoned,
}

/// Waits for work, takes what else is there, and, if the last batch was just now, what comes until `earliest`.
fn collect<E: Engine>(receiver: &Receiver<Message<E>>, earliest: Instant) -> (Vec<Job<E>>, End) {
    let mut batch = Vec::new();
    let mut rows = 0;
    let mut next = receiver.recv().map_err(|_| RecvTimeoutError::Disconnected);
    loop {
        match next {
            Ok(Message::Do(job)) => {
                rows += job.rows;
                batch.push(job);
            }
            Ok(Message::Close(done)) => return (batch, End::Closed(done)),
            Err(RecvTimeoutError::Timeout) => return (batch, End::None),
            Err(RecvTimeoutError::Disconnected) => return (batch, End::Abandoned),
        }
        if rows >= BATCH {
            return (batch, End::None);
        }
        next = receiver.recv_timeout(earliest.saturating_duration_since(Instant::now()));
    }
}

fn answer<E: Engine>(engine: &mut E, batch: Vec<Job<E>>) {
    if batch.is_empty() {
        return;
    }
    let mut works = Vec::with_capacity(batch.len());
    let mut replies = Vec::with_capacity(batch.len());
    for job in batch {
        works.push(job.work);
        replies.push((job.reply, job.place));
    }
    for (answer, (reply, _place)) in engine.run(works).into_iter().zip(replies) {
        // Who asked may have gone meanwhile.
        reply.map(|reply| reply.send(answer).ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Doubling;

    impl Engine for Doubling {
        type Work = u32;
        type Answer = (u32, usize);

        fn run(&mut self, batch: Vec<u32>) -> Vec<Result<(u32, usize)>> {
            let size = batch.len();
            batch.into_iter().map(|work| Ok((work * 2, size))).collect()
        }

        fn close(self) {}
    }

    #[tokio::test]
    async fn every_work_gets_its_own_answer_and_a_closed_queue_refuses() {
        let queue = Arc::new(Queue::start("test", Doubling).unwrap());
        let mut answers = tokio::task::JoinSet::new();
        for number in 0..200 {
            let queue = Arc::clone(&queue);
            answers.spawn(async move { (number, queue.submit(number, 1).await.unwrap().0) });
        }
        while let Some(answer) = answers.join_next().await {
            let (number, double) = answer.unwrap();
            assert_eq!(double, number * 2);
        }
        assert_eq!(queue.depth(), 0);
        queue.close().await;
        queue.close().await;
        assert_eq!(
            queue.submit(1, 1).await.unwrap_err().reason(),
            stead_kernel::Reason::Unavailable
        );
    }
}
