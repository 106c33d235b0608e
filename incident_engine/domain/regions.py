"""China's provincial units by ISO 3166-2 code, administrative code (GB/T 2260), Chinese and English name.

Regions are stored by their ISO 3166-2 code. Codes of other countries are accepted unchanged.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Province:
    """One provincial unit: ISO 3166-2:CN code, first two digits of its adcode, names."""

    code: str
    adcode: str
    zh_long: str
    zh_short: str
    en: str


PROVINCES = tuple(
    Province(*line.split("|"))
    for line in """\
CN-BJ|11|北京市|北京|Beijing
CN-TJ|12|天津市|天津|Tianjin
CN-HE|13|河北省|河北|Hebei
CN-SX|14|山西省|山西|Shanxi
CN-NM|15|内蒙古自治区|内蒙古|Inner Mongolia
CN-LN|21|辽宁省|辽宁|Liaoning
CN-JL|22|吉林省|吉林|Jilin
CN-HL|23|黑龙江省|黑龙江|Heilongjiang
CN-SH|31|上海市|上海|Shanghai
CN-JS|32|江苏省|江苏|Jiangsu
CN-ZJ|33|浙江省|浙江|Zhejiang
CN-AH|34|安徽省|安徽|Anhui
CN-FJ|35|福建省|福建|Fujian
CN-JX|36|江西省|江西|Jiangxi
CN-SD|37|山东省|山东|Shandong
CN-HA|41|河南省|河南|Henan
CN-HB|42|湖北省|湖北|Hubei
CN-HN|43|湖南省|湖南|Hunan
CN-GD|44|广东省|广东|Guangdong
CN-GX|45|广西壮族自治区|广西|Guangxi
CN-HI|46|海南省|海南|Hainan
CN-CQ|50|重庆市|重庆|Chongqing
CN-SC|51|四川省|四川|Sichuan
CN-GZ|52|贵州省|贵州|Guizhou
CN-YN|53|云南省|云南|Yunnan
CN-XZ|54|西藏自治区|西藏|Tibet
CN-SN|61|陕西省|陕西|Shaanxi
CN-GS|62|甘肃省|甘肃|Gansu
CN-QH|63|青海省|青海|Qinghai
CN-NX|64|宁夏回族自治区|宁夏|Ningxia
CN-XJ|65|新疆维吾尔自治区|新疆|Xinjiang
CN-TW|71|台湾省|台湾|Taiwan
CN-HK|81|香港特别行政区|香港|Hong Kong
CN-MO|82|澳门特别行政区|澳门|Macao""".splitlines()
)

PROVINCE_BY_CODE = {province.code: province for province in PROVINCES}
CODE_BY_ADCODE = {province.adcode: province.code for province in PROVINCES}
"""Codes by the first two digits of an adcode."""
CODE_BY_NAME = {
    name.casefold(): province.code
    for province in PROVINCES
    for name in (province.zh_long, province.zh_short, province.en, province.code)
} | {"hk": "CN-HK", "mo": "CN-MO", "tw": "CN-TW", "xizang": "CN-XZ"}
"""Codes by every name of a province, case-folded."""
REGION_NAMES = [name for p in PROVINCES for name in (p.code, p.zh_short, p.zh_long, p.en)]

# ISO 3166-1 alpha-2, without CN, HK, MO and TW, which are handled as China's provincial units.
OTHER_COUNTRIES = frozenset(
    """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW
    BY BZ CA CC CD CF CG CH CI CK CL CM CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ
    FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HM HN HR HT HU ID IE IL IM IN IO IQ
    IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG
    MH MK ML MM MN MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK
    PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ
    TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
    """.split()  # noqa: SIM905 - a list of 245 literals is no easier to read
)


def region_name(code: str, locale: str) -> str:
    """Return a region's short name in a language; outside China its code."""
    province = PROVINCE_BY_CODE.get(code)
    if province is None:
        return code
    return province.zh_short if locale.lower().startswith("zh") else province.en
