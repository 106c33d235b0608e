"""What the command line says, in Chinese and English."""

import os
from collections.abc import Mapping

_PHRASES: Mapping[str, tuple[str, str]] = {
    "shipped bank": (
        "这是自带的示例银行，不是您的银行；请用 --config 指定您的 config.yaml",
        "this is the shipped example bank, not yours: name your config.yaml with --config",
    ),
    "push events": ("推送事件", "push events"),
    "look": ("页面", "pages"),
    "metrics": ("指标", "metrics"),
    "messages": ("消息", "messages"),
    "try": ("试一试", "try"),
    "stop": ("按 Ctrl-C 停止", "Ctrl-C stops"),
    "stopped": ("已停止", "stopped"),
    "incident": ("事件", "incident"),
    "services": ("系统", "services"),
    "regions": ("地区", "regions"),
    "occurred": ("发生", "occurred"),
    "restored": ("恢复", "restored"),
    "not restored": ("尚未恢复", "not restored"),
    "as of": ("截至", "as of"),
    "level": ("级别", "level"),
    "below": ("未达级别", "below the lowest level"),
    "next": ("下一级别", "next level"),
    "none": ("无", "none"),
    "in": ("还有", "in"),
    "obligations": ("义务", "obligations"),
    "due": ("期限", "due"),
    "evidence": ("依据", "evidence"),
    "in service": ("服务时段内中断", "out in service hours"),
    "not published": (
        "该年放假安排尚未公布，服务时段为推测",
        "days off not yet published, service hours are a guess",
    ),
    "warning": ("警告", "warning"),
    "not in force": ("发生时该规定未施行，不予定级", "not in force when the outage began: it gives no level"),
    "held": ("按第10条不降级", "held: a level never falls (Art. 10)"),
    "no incidents": ("没有事件", "no incidents"),
    "pending": ("待办", "pending"),
    "met": ("已履行", "met"),
    "overdue": ("已逾期", "overdue"),
    "not_applicable": ("不适用", "not applicable"),
    "met late": ("逾期履行", "met late"),
    "by": ("由", "by"),
    "outage.started": ("中断开始", "outage started"),
    "outage.degraded": ("服务降级", "outage degraded"),
    "outage.restored": ("服务恢复", "outage restored"),
    "recovery.estimated": ("预计恢复", "recovery estimated"),
    "note.added": ("记录", "note added"),
    "step.completed": ("步骤完成", "step completed"),
    "incident.closed": ("事件关闭", "incident closed"),
    "level reached": ("达到级别", "level reached"),
    "step begun": ("步骤开始", "step begun"),
    "notice": ("通知", "notice"),
    "delivered": ("已送达", "delivered"),
    "obligation": ("义务", "obligation"),
    "drill": ("演练", "drill"),
    "speed": ("倍速", "times real time"),
    "starts": ("开始于", "starts at"),
    "summary": ("小结", "summary"),
    "notices sent": ("已发通知", "notices sent"),
    "deadlines met": ("按期履行的义务", "deadlines met"),
    "deadlines missed": ("未按期履行的义务", "deadlines missed"),
    "levels reached": ("达到的级别", "levels reached"),
    "as expected": ("与预期一致", "as expected"),
    "not as expected": ("与预期不符", "not as expected"),
    "messages are in": ("消息文件在", "messages are in"),
    "all correct": ("全部正确", "all correct"),
    "files": ("个文件", "files checked"),
    "cases": ("个案例", "cases"),
    "findings": ("处错误", "findings"),
}


class Wording:
    """The phrases of one language."""

    def __init__(self, locale: str) -> None:
        self.locale = locale
        self._place = 0 if locale.startswith("zh") else 1

    def __call__(self, key: str) -> str:
        """Return a phrase; what has none stands for itself."""
        return _PHRASES[key][self._place] if key in _PHRASES else key


def locale_of(environment: Mapping[str, str] = os.environ) -> str:
    """Return the reader's language by the usual variables of the environment: zh-CN or en."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if environment.get(name):
            return "zh-CN" if environment[name].lower().startswith("zh") else "en"
    return "en"
