import type { Database } from '@berth/service'

/** What is to be sent now, in the hands of one replica until its lease ends. */
export type Claimed = { id: string; webhookId: string; event: number | null; tries: number; lease: string }

const atOncePerWebhook = 2
// A quarter of what is sent at once: its receivers may take their time, and answer well.
const atOnceOfNamespace = { failing: 16, good: 32 }
// A try takes 15 s at most.
const leaseSeconds = 60

const claiming = `with hook as (
     select id, active, split_part(name, '/', 1) as namespace
     from webhook
     where exists (
       select
       from webhook_delivery as due
       where due.webhook_id = webhook.id
         and due.state = 'waiting'
         and due.next_at <= now()
         and (webhook.active or due.event is null))
       and (failing_since is not null) = $4
     order by id
     for update skip locked),
   sent as (
     select split_part(name, '/', 1) as namespace, count(*) as count
     from webhook_delivery
     join webhook on webhook.id = webhook_id
     where state = 'waiting'
       and leased_until >= now()
       and (failing_since is not null) = $4
     group by 1),
   due as (
     select ranked.id
     from (
       select delivery.id, delivery.next_at, coalesce(sent.count, 0)
         + row_number() over (partition by hook.namespace order by delivery.next_at, delivery.seq) as place
       from hook
       left join sent on sent.namespace = hook.namespace
       cross join lateral (
         select id, next_at, seq
         from webhook_delivery
         where webhook_id = hook.id
           and state = 'waiting'
           and next_at <= now()
           and (hook.active or event is null)
           and (leased_until is null or leased_until < now())
         order by next_at, seq
         limit greatest(0, $1 - (
           select count(*)
           from webhook_delivery as sent
           where sent.webhook_id = hook.id
             and sent.state = 'waiting'
             and sent.leased_until >= now()))) as delivery) as ranked
     where place <= $5
     order by ranked.next_at
     limit $2)
   update webhook_delivery
   set lease = gen_random_uuid(), leased_until = now() + make_interval(secs => $3)
   from due
   where webhook_delivery.id = due.id
     -- Of another replica that was faster the lease is seen here, for the row was read before.
     and (leased_until is null or leased_until < now())
   returning webhook_delivery.id, webhook_id as "webhookId", event, tries, lease`

/**
 * Takes deliveries that are due, the longest due first, and at most two at a time of each webhook, so that one that hangs keeps up nobody
 * else's. Those of webhooks whose last try failed are taken apart: a hundred that hang leave room for the others. Of a namespace 32 are sent at a
 * time, of those that fail 16, so that all its receivers together keep up nobody else's.
 */
export async function claimDeliveries(db: Database, most: number, ofFailing: boolean): Promise<Claimed[]> {
  if (most <= 0) return []
  const ofNamespace = atOnceOfNamespace[ofFailing ? 'failing' : 'good']
  return db.query<Claimed>(claiming, [atOncePerWebhook, most, leaseSeconds, ofFailing, ofNamespace])
}
