"""Title, meaning and remedy of each kind of finding, written for an operator who is woken by it at 3 a.m."""

from collections.abc import Mapping
from dataclasses import dataclass

from incident_engine.domain.values import LocalizedText
from incident_engine.watchdog.findings import Kind, texts


@dataclass(frozen=True, slots=True)
class FindingTexts:
    """The title, meaning and remedy of a kind of finding, each in both languages."""

    title: LocalizedText
    means: LocalizedText
    remedy: LocalizedText


_RESTART = (
    "查看日志后重启 incident-engine；重启随时安全，已受理的事件都在磁盘上。重启前请人工核对将到期限的报告。",
    "Look at the log, then restart incident-engine: it is always safe, what was acknowledged is on disk. Until then "
    "watch by hand the deadlines of reports that are due soon.",
)
_NOTHING_GOES = "到期的报告和通知可能发不出去。", "Reports and notices that are due may not go out."
_STORE = (
    "检查磁盘空间、磁盘故障和数据库所在的机器；随后重启 incident-engine。",
    "Look at disk space, the disk, and the machine of the database; then restart incident-engine.",
)
_SYNCHRONISE = (
    "检查本机和发送方的时间同步（如 chronyc tracking），并核对未关闭事件的发生时间和期限。",
    "Look at the time synchronisation of both machines (such as chronyc tracking), and check the times and deadlines "
    "of open incidents.",
)


def _texts(title: tuple[str, str], means: tuple[str, str], remedy: tuple[str, str]) -> FindingTexts:
    return FindingTexts(texts(*title), texts(*means), texts(*remedy))


TEXTS: Mapping[Kind, FindingTexts] = {
    Kind.WRITER_DEAD: _texts(
        ("写入线程已停止", "The writer does not run"),
        (
            "无法受理事件，级别不再上升。" + _NOTHING_GOES[0],
            "No event is taken and no level rises. " + _NOTHING_GOES[1],
        ),
        _RESTART,
    ),
    Kind.WRITER_STUCK: _texts(
        ("写入线程卡住", "The writer is stuck"),
        (
            "事件得不到受理，级别不再上升。" + _NOTHING_GOES[0],
            "Events are not taken and no level rises. " + _NOTHING_GOES[1],
        ),
        _STORE,
    ),
    Kind.DISPATCHER_DEAD: _texts(
        ("消息发送已停止", "The dispatcher does not run"),
        ("任何消息都发不出去。" + _NOTHING_GOES[0], "No message goes out. " + _NOTHING_GOES[1]),
        _RESTART,
    ),
    Kind.DISPATCHER_STUCK: _texts(
        ("消息发送卡住", "The dispatcher is stuck"),
        ("任何消息都发不出去。" + _NOTHING_GOES[0], "No message goes out. " + _NOTHING_GOES[1]),
        _RESTART,
    ),
    Kind.TIMERS_DEAD: _texts(
        ("定时器已停止", "The timers do not run"),
        ("级别不会按时上升。" + _NOTHING_GOES[0], "Levels do not rise in time. " + _NOTHING_GOES[1]),
        _RESTART,
    ),
    Kind.TIMERS_STUCK: _texts(
        ("定时器卡住", "The timers are stuck"),
        ("级别可能不按时上升。" + _NOTHING_GOES[0], "Levels may not rise in time. " + _NOTHING_GOES[1]),
        _RESTART,
    ),
    Kind.EVENT_LOOP_STUCK: _texts(
        ("事件循环无应答", "The event loop does not answer"),
        (
            "接口不应答，消息发不出去。" + _NOTHING_GOES[0],
            "No request is answered, no message sent. " + _NOTHING_GOES[1],
        ),
        _RESTART,
    ),
    Kind.STORE_UNREADABLE: _texts(
        ("数据库无法读取", "The database cannot be read"),
        ("事件可能得不到受理。" + _NOTHING_GOES[0], "Events may not be taken. " + _NOTHING_GOES[1]),
        _STORE,
    ),
    Kind.TIMER_OVERDUE: _texts(
        ("定时逾期未触发", "Timers are overdue"),
        (
            "有事件的级别和步骤没有按时更新。" + _NOTHING_GOES[0],
            "Levels and steps are not up to date. " + _NOTHING_GOES[1],
        ),
        _RESTART,
    ),
    Kind.DELIVERY_UNCLAIMED: _texts(
        ("到期消息无人领取", "Messages that are due are not taken"),
        ("这些消息会迟到。" + _NOTHING_GOES[0], "These messages will be late. " + _NOTHING_GOES[1]),
        (
            "如消息很多，说明发送能力不足，请查看各渠道；否则重启 incident-engine。请先人工通知最紧急的收件人。",
            "If they are many, the channels are too slow: look at them; if not, restart incident-engine. Tell the most "
            "urgent recipients by hand first.",
        ),
    ),
    Kind.DELIVERY_LEASE_LAPSED: _texts(
        ("消息停在发送中", "Messages hang while being sent"),
        ("不清楚这些消息是否已送达。" + _NOTHING_GOES[0], "Whether they arrived is not known. " + _NOTHING_GOES[1]),
        (
            "重启 incident-engine，它会以同一标识重发；请先与最紧急的收件人核对。",
            "Restart incident-engine: it sends them again under the same id. Ask the most urgent recipients first.",
        ),
    ),
    Kind.STATUTORY_AT_RISK: _texts(
        ("法定通知有逾期风险", "Statutory notices are failing"),
        (
            "负责报告的人可能不知道期限将至，法定报告可能逾期。",
            "The person who must report may not know it, and a statutory report may be late.",
        ),
        (
            "立即以电话通知应报告的人，并查看该渠道为何失败（日志 room=delivery）。报告后登记该步骤已完成。",
            "Call the person who must report, now, and find out why the channel fails (the log's room=delivery). "
            "Record the step as completed once it is reported.",
        ),
    ),
    Kind.CLOCK_STEPPED: _texts(
        ("系统时钟跳变", "The clock was set"),
        (
            "本机时间被调整，或机器曾休眠。中断时长和报告期限按时钟计算，可能有误。",
            "The time was changed, or the machine slept. Lengths of outages and deadlines are the clock's, and may be "
            "wrong.",
        ),
        _SYNCHRONISE,
    ),
    Kind.EVENTS_AHEAD: _texts(
        ("事件时间超前", "Events from ahead of the clock"),
        (
            "发送方或本机的时钟不准。超前过多的事件不予受理，级别和期限可能有误。",
            "The sender's clock is wrong, or ours. Events too far ahead are refused; levels and deadlines may be "
            "wrong.",
        ),
        _SYNCHRONISE,
    ),
    Kind.REPORTS_LOST: _texts(
        ("监控的报告未被受理", "Reports of monitors were refused"),
        (
            "监控系统不会重发被拒绝的报告，其中的中断没有登记。请到监控系统中核对当前告警。",
            "A monitor does not send a refused report again: outages in it are not recorded. Look at the monitor's "
            "present alerts.",
        ),
        (
            "人工登记遗漏的中断。请求过大时减小分组（Alertmanager 的 group_by、max_alerts），"
            "或提高 intake.max_body_bytes 和 intake.max_events；内容无效时查看日志 room=web。",
            "Report missing outages by hand. If a body was too large, make groups smaller (Alertmanager's group_by and "
            "max_alerts) or raise intake.max_body_bytes and intake.max_events; if it was invalid, see the log's "
            "room=web.",
        ),
    ),
    Kind.DATABASE_CLOCK_SKEW: _texts(
        ("数据库时钟偏差", "The database's clock differs"),
        ("本机或数据库的时钟不准，期限可能有误。", "Our clock is wrong or the database's; deadlines may be wrong."),
        _SYNCHRONISE,
    ),
    Kind.ALERTS_TRUNCATED: _texts(
        ("告警通知被截断", "Notifications of alerts are cut off"),
        (
            "实际中断的系统和地区可能多于已知，级别可能偏低；相关事件中已加备注。",
            "More services and regions may be down than is known, and the level may be too low. The incidents have a "
            "note.",
        ),
        (
            "在监控系统中核对全部告警，未知的中断请上报；在 Alertmanager 的接收方设置 max_alerts: 0，并用 group_by "
            "分成较小的组。",
            "Look at all alerts in the monitor, and report the outages that are missing. Set max_alerts: 0 in "
            "Alertmanager's receiver, and smaller groups by group_by.",
        ),
    ),
    Kind.INCIDENT_STUCK: _texts(
        ("有事件无法更新", "An incident cannot be updated"),
        (
            "该事件的级别不再上升，不再有步骤和消息；法定报告可能逾期。",
            "Its level does not rise, and no step or message of it comes; a statutory report may be late.",
        ),
        (
            "立即按预案人工处理该事件，并核对其报告期限；查看日志（update_failed）并报告此缺陷。每分钟自动重试。",
            "Handle this incident by hand, now, and watch its deadlines. Look at the log (update_failed) and report "
            "the defect. It is tried again every minute.",
        ),
    ),
    Kind.OUTAGE_SILENT: _texts(
        ("中断是否仍在继续？", "Does the outage still last?"),
        (
            "监控系统本应重复上报而没有；告警可能在静默或抑制期间恢复，Alertmanager 不会再通知。级别照常上升，系统不会"
            "自行结束中断。",
            "The monitor repeats what it sees, and has stopped. It may have been restored while its alert was silenced "
            "or inhibited: Alertmanager never says so. The level goes on rising; an outage is not ended by silence.",
        ),
        (
            "查明情况。已恢复：以实际时间上报 outage.restored。仍在中断：添加备注（note.added），系统过后再问。",
            "Find out. If it is over, report outage.restored with the time at which it ended; if it lasts, add a note "
            "(note.added), and you are asked again later.",
        ),
    ),
    Kind.REPORTS_QUARANTINED: _texts(
        ("有告警在隔离区，未予定级", "Alerts wait in quarantine, ungraded"),
        (
            "可能有业务中断无人定级：级别不上升，报告不计时，也不再呼叫任何人。",
            "An outage may be going on that nobody grades: no level rises, no report falls due, no one else is paged.",
        ),
        (
            "逐条判断：是中断，则归入其系统和地区（incident-engine quarantine map）；不是，则搁置并写明理由"
            "（quarantine dismiss）。随后改正告警规则的标签。",
            "Decide on each: if it is an outage, map it to its service and regions (incident-engine quarantine map); "
            "if not, dismiss it with a reason (quarantine dismiss). Then correct the labels in the alert's rule.",
        ),
    ),
    Kind.EVENTS_ISOLATED: _texts(
        ("有事件处理失败", "Events at which the engine failed"),
        (
            "这些事件没有计入任何事件单，级别和期限可能有误；请人工处理。",
            "They are part of no incident: levels and deadlines may be wrong. Handle by hand what they report.",
        ),
        (
            "查看日志（event_isolated）并报告此缺陷；排除后用 incident-engine quarantine map 重放，或搁置。",
            "Look at the log (event_isolated) and report the defect; once it is mended, replay them with "
            "incident-engine quarantine map, or dismiss them.",
        ),
    ),
    Kind.PROBE_FAILED: _texts(
        ("自检出错", "The watchdog failed"),
        ("自检的一部分没有进行，其他故障可能未被发现。", "Part of it was not done: other faults may go unseen."),
        ("查看日志（room=watchdog）并报告此缺陷。", "Look at the log (room=watchdog) and report the defect."),
    ),
}
