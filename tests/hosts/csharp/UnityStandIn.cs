// UnityStandIn.cs: the names of Unity that AudioFilter.cs touches, so that it runs outside Unity. No behaviour but what the test drives.
namespace UnityEngine
{
    public class Object { }
    public class Component : Object { }
    public class MonoBehaviour : Component { public bool isActiveAndEnabled = true; }
    public sealed class TextAsset : Object { public byte[] bytes; }
    public enum AudioSpeakerMode { Mono = 1, Stereo, Quad, Surround, Mode5point1, Mode7point1, Prologic }

    public static class AudioSettings
    {
        public delegate void AudioConfigurationChangeHandler(bool deviceWasChanged);
        public static event AudioConfigurationChangeHandler OnAudioConfigurationChanged;
        public static int outputSampleRate = 48000;
        public static AudioSpeakerMode speakerMode = AudioSpeakerMode.Stereo;
        public static void Change(int rate)
        {
            outputSampleRate = rate;
            if (OnAudioConfigurationChanged != null) OnAudioConfigurationChanged(true);
        }
    }

    public static class Debug
    {
        public static string last;
        public static void LogError(object message, Object context) { last = message.ToString(); }
    }

    public sealed class AddComponentMenu : System.Attribute { public AddComponentMenu(string menu) { } }
    public sealed class RangeAttribute : System.Attribute { public RangeAttribute(float least, float most) { } }
}
