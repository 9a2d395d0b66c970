//! Tables of the lease's steps.

use std::time::{Duration, Instant};

use super::*;

const LEASE: Duration = Duration::from_secs(15);

/// A candidate, its clock, and what it did last.
struct Candidate {
    lease: Lease,
    start: Instant,
    last: Act,
}

impl Candidate {
    #[expect(clippy::disallowed_methods, reason = "an origin; all that counts is added to it")]
    fn new(me: &str) -> Self {
        Self { lease: Lease::new(me, Terms::default()), start: Instant::now(), last: Act::Wait(Duration::ZERO) }
    }

    fn at(&self, seconds: f64) -> Instant {
        self.start + Duration::from_secs_f64(seconds)
    }

    fn see(&mut self, seconds: f64, event: Event) -> Act {
        let wall = jiff::Timestamp::UNIX_EPOCH + Duration::from_secs_f64(seconds);
        let (lease, act) = self.lease.clone().step(event, Now { local: self.at(seconds), wall }, 0.0);
        (self.lease, self.last) = (lease, act.clone());
        act
    }

    /// Its last write succeeded, sent and answered at this time.
    fn written(&mut self, seconds: f64) -> Act {
        let (Act::Create(record) | Act::Update(record)) = self.last.clone() else {
            panic!("wrote nothing: {:?}", self.last)
        };
        self.see(seconds, Event::Written(record, self.at(seconds)))
    }

    fn leads(&self, seconds: f64) -> Option<Term> {
        self.lease.leads(self.at(seconds))
    }
}

fn held(by: &str, renewed: i64, transitions: u32) -> Record {
    let at = |second| jiff::Timestamp::from_second(second).unwrap();
    Record { holder: by.into(), lease: LEASE, acquired: at(0), renewed: at(renewed), transitions }
}

#[test]
fn the_first_creates_and_leads_until_its_deadline() {
    let mut one = Candidate::new("one");
    assert_eq!(one.see(0.0, Event::Due), Act::Read);
    assert_eq!(one.see(0.0, Event::Absent), Act::Create(held("one", 0, 0)));
    assert_eq!(one.leads(0.0), None, "not before the write succeeded");
    assert_eq!(one.written(0.0), Act::Wait(Duration::from_secs(2)));
    assert_eq!(one.leads(9.9), Some(Term(1)));
    assert_eq!(one.leads(10.0), None);
}

#[test]
fn the_deadline_counts_from_when_the_write_was_sent() {
    let mut one = Candidate::new("one");
    one.see(0.0, Event::Absent);
    one.see(7.0, Event::Written(held("one", 0, 0), one.at(0.0)));
    assert_eq!((one.leads(9.9), one.leads(10.0)), (Some(Term(1)), None));
}

#[test]
fn others_wait_from_the_change_that_they_saw_whatever_clocks_say() {
    let mut two = Candidate::new("two");
    // The holder's wall clock is a day behind; it does not matter.
    let record = held("one", -86_400, 0);
    assert!(matches!(two.see(0.0, Event::Found(record.clone())), Act::Wait(_)));
    assert!(matches!(two.see(14.9, Event::Found(record.clone())), Act::Wait(_)));
    assert_eq!(two.see(15.0, Event::Found(record)), Act::Update(held("two", 15, 1)).with_acquired(15));
}

#[test]
fn a_change_makes_a_record_fresh_again() {
    let mut two = Candidate::new("two");
    two.see(0.0, Event::Found(held("one", 0, 0)));
    assert!(matches!(two.see(14.0, Event::Found(held("one", 2, 0))), Act::Wait(_)));
    assert!(matches!(two.see(28.9, Event::Found(held("one", 2, 0))), Act::Wait(_)));
    assert!(matches!(two.see(29.0, Event::Found(held("one", 2, 0))), Act::Update(_)));
}

#[test]
fn a_holder_has_stopped_before_another_starts() {
    let (mut one, mut two) = (Candidate::new("one"), Candidate::new("two"));
    one.see(0.0, Event::Absent);
    one.written(0.0);
    let Some(record) = one.lease.standing(one.at(0.0)).leader.map(|_| held("one", 0, 0)) else { panic!() };
    two.see(0.0, Event::Found(record.clone()));
    let (mut tenths, mut second) = (0, 0.0);
    while two.leads(second).is_none() {
        tenths += 1;
        second = f64::from(tenths) / 10.0;
        if matches!(two.see(second, Event::Found(record.clone())), Act::Update(_)) {
            two.written(second);
        }
        assert!(one.leads(second).is_none() || two.leads(second).is_none(), "both lead at {second} s");
    }
    assert_eq!(tenths, 150);
}

#[test]
fn the_wait_never_passes_the_moment_when_the_lease_is_free() {
    let mut two = Candidate::new("two");
    two.see(0.0, Event::Found(held("one", 0, 0)));
    assert_eq!(two.see(14.5, Event::Found(held("one", 0, 0))), Act::Wait(Duration::from_millis(500)));
}

#[test]
fn what_was_given_up_is_taken_at_once() {
    let mut two = Candidate::new("two");
    two.see(0.0, Event::Found(held("one", 0, 3)));
    let released = Record { lease: Duration::from_secs(1), ..held("", 1, 3) };
    let Act::Update(taken) = two.see(1.0, Event::Found(released)) else { panic!("{:?}", two.last) };
    assert_eq!((taken.holder.as_str(), taken.transitions), ("two", 4));
}

#[test]
fn renewing_keeps_the_count_and_the_term_losing_ends_it() {
    let mut one = Candidate::new("one");
    one.see(0.0, Event::Absent);
    one.written(0.0);
    let Act::Update(renewed) = one.see(2.0, Event::Found(held("one", 0, 0))) else { panic!("{:?}", one.last) };
    assert_eq!(
        (renewed.transitions, renewed.acquired, renewed.renewed.as_second()),
        (0, held("one", 0, 0).acquired, 2)
    );
    one.written(2.0);
    assert_eq!(one.leads(2.0), Some(Term(1)));
    // Unreachable past the deadline, then its own record again: a new term.
    assert!(matches!(one.see(13.0, Event::Failed("no route".into())), Act::Wait(_)));
    assert_eq!(one.leads(13.0), None);
    one.see(14.0, Event::Found(renewed));
    one.written(14.0);
    assert_eq!(one.leads(14.0), Some(Term(2)));
}

#[test]
fn who_sees_another_holder_leads_no_longer() {
    let mut one = Candidate::new("one");
    one.see(0.0, Event::Absent);
    one.written(0.0);
    one.see(1.0, Event::Found(held("two", 1, 1)));
    assert_eq!(one.leads(1.0), None);
    let standing = one.lease.standing(one.at(1.0));
    assert_eq!((standing.term, standing.leader.as_deref()), (None, Some("two")));
}

#[test]
fn a_conflict_ends_the_term_until_the_record_was_read() {
    let mut one = Candidate::new("one");
    one.see(0.0, Event::Absent);
    one.written(0.0);
    one.see(2.0, Event::Conflict);
    assert_eq!(one.leads(2.0), None);
}

#[test]
fn a_deleted_record_is_good_for_as_long_as_it_would_have_been() {
    let mut two = Candidate::new("two");
    two.see(0.0, Event::Found(held("one", 0, 0)));
    assert!(matches!(two.see(5.0, Event::Absent), Act::Wait(_)), "its holder may not know yet");
    assert!(matches!(two.see(15.0, Event::Absent), Act::Create(_)));
}

#[test]
fn giving_up_empties_the_holder_and_only_the_holder_can() {
    let mut one = Candidate::new("one");
    let wall = jiff::Timestamp::from_second(9).unwrap();
    let now = Now { local: one.at(9.0), wall };
    assert_eq!(one.lease.release(now), None);
    one.see(0.0, Event::Absent);
    one.written(0.0);
    let released = one.lease.release(now).unwrap();
    assert_eq!((released.holder.as_str(), released.lease, released.transitions), ("", Duration::from_secs(1), 0));
    one.see(1.0, Event::Found(held("two", 1, 1)));
    assert_eq!(one.lease.release(now), None);
}

#[test]
fn times_that_let_two_lead_are_refused() {
    let terms = |lease, renew, retry| {
        let millis = Duration::from_millis;
        Terms { lease: millis(lease), renew_deadline: millis(renew), retry: millis(retry) }.check()
    };
    assert_eq!(terms(15_000, 10_000, 2_000), Ok(()));
    for (lease, renew, retry) in [(10_000, 10_000, 2_000), (15_000, 3_000, 2_000), (15_000, 10_000, 0)] {
        assert!(terms(lease, renew, retry).unwrap_err().to_string().contains("expected"));
    }
}

impl Act {
    fn with_acquired(self, second: i64) -> Self {
        match self {
            Self::Update(record) => {
                Self::Update(Record { acquired: jiff::Timestamp::from_second(second).unwrap(), ..record })
            }
            other => other,
        }
    }
}
